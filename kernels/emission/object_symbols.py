"""The undefined symbols of an object file: ELF, COFF or Mach-O, for a 64-bit little-endian machine. Build-time only.

Formats: System V ABI, chapters 4 and 5; Microsoft, "PE Format"; Apple, <mach-o/loader.h> and <mach-o/nlist.h>.
"""

import struct


def undefined_symbols(data: bytes) -> set[str]:
    """Names of the symbols that a linker would have to find elsewhere, as they are spelled in C."""
    if data[:4] == b"\x7fELF":
        return _elf(data)
    if data[:4] == b"\xcf\xfa\xed\xfe":
        return {name.removeprefix("_") for name in _macho(data)}
    return _coff(data)


def _elf(data: bytes) -> set[str]:
    (sections_at,) = struct.unpack_from("<Q", data, 40)
    section_size, section_count = struct.unpack_from("<HH", data, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, sections_at + i * section_size) for i in range(section_count)]
    names = set()
    for _, kind, _, _, offset, size, link, *_ in sections:
        if kind == 2:  # SHT_SYMTAB
            strings = sections[link][4]
            for at in range(offset + 24, offset + size, 24):  # the first symbol is null
                name, _, _, section = struct.unpack_from("<IBBH", data, at)
                if section == 0:
                    names.add(_string(data, strings + name))
    return names


def _macho(data: bytes) -> set[str]:
    (command_count,) = struct.unpack_from("<I", data, 16)
    names, at = set(), 32
    for _ in range(command_count):
        command, size = struct.unpack_from("<II", data, at)
        if command == 2:  # LC_SYMTAB
            symbols, count, strings, _ = struct.unpack_from("<4I", data, at + 8)
            for i in range(count):
                name, kind, _, _, value = struct.unpack_from("<IBBHQ", data, symbols + i * 16)
                if kind & 0x0E == 0 and value == 0:  # N_UNDF, and not common
                    names.add(_string(data, strings + name))
        at += size
    return names


def _coff(data: bytes) -> set[str]:
    symbols, count = struct.unpack_from("<II", data, 8)
    strings = symbols + count * 18
    names, i = set(), 0
    while i < count:
        at = symbols + i * 18
        zeros, offset, value, section, _, storage, auxiliary = struct.unpack_from("<IIIhHBB", data, at)
        if section == 0 and value == 0 and storage == 2:  # IMAGE_SYM_UNDEFINED, IMAGE_SYM_CLASS_EXTERNAL
            names.add(data[at : at + 8].rstrip(b"\0").decode() if zeros else _string(data, strings + offset))
        i += 1 + auxiliary
    return names


def _string(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()
