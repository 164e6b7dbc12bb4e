"""Files that are written whole or not at all."""
import os


def replace(path, write):
    """write(PATH) writes the file; it then takes the place of `path`."""
    write(path + ".new")
    os.replace(path + ".new", path)


def replace_text(path, text):
    def write(new):
        with open(new, "w", encoding="utf-8") as file:
            file.write(text)

    replace(path, write)
