"""Reads and writes image files: NIfTI, NRRD, MetaImage and DICOM series."""
