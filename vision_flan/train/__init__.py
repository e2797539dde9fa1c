"""The reference trainer: compiled folders in, a LLaVA model or files for other trainers out.

The only room with torch. It takes the ground floor, `spec`, and the decoding of `instances`.
"""
