"""Whatever a caller passes becomes BGR ``uint8`` arrays, as a stream of bounded chunks."""
