"""OpenCV's Haar cascades, for faces and for eyes: the default detector.

A cascade ("Rapid object detection using a boosted cascade of simple features", Viola and Jones,
2001, as in OpenCV 4) slides a window over a grey picture in some forty sizes. In each place a few
rectangles of pixels are weighed against one another; a stage sums the votes of its features, and a
window that falls short of the stage's threshold is dropped, most of them after a stage or two.
Windows that pass all stages and lie close together are one face.

What is found must equal OpenCV's ``detectMultiScale3`` to the last bit, and two implementations do:

* on the CPU OpenCV itself (``cascade.py``) or numba (``compiled.py``): the sizes of the pyramid are
  made here and searched one at a time, so that threads share them;
* on a device PyTorch (``search.py``): all sizes of all pictures of a batch lie side by side in one
  large picture, the atlas (``atlas.py``); the first stages run over sums of rectangles for every
  window at once (``grid.py``), the later ones over the pixels of the windows that are left
  (``stages.py``, with the file as arrays from ``cascade_file.py``). On CUDA kernels of our own do
  all that in a few launches (``kernels.py``), where Triton runs.

Both give windows, which ``grouping.py`` makes faces of, once for both. ``opencv.py`` is the
detector and the eye search; ``choice.py`` decides who searches, by measuring: the device wins where
there is much to search at a time. On a GPU an atlas costs a number of launches that hardly depends
on the batch, and the host waits where windows are gathered: that is why it is few large steps.
"""
