"""From detected boxes to upright crops: expand, align, rotate, cut; on the CPU or on the device."""
