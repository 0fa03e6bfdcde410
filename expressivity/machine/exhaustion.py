"""Too little memory, told from every other error."""

# Torch raises a plain RuntimeError for it on a CPU.
_WORDS = ("allocate memory", "Storage size calculation overflowed", "std::bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether Python, torch or numpy says that there is too little memory.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("no"))
        (True, False)
    """
    if not isinstance(error, RuntimeError):
        return isinstance(error, MemoryError)
    named = type(error).__name__ == "OutOfMemoryError"  # of torch, for a GPU
    return named or any(words in str(error) for words in _WORDS)
