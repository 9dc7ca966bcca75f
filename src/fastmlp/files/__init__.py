"""Files that users name: how they are written and read, and what a network looks like in one."""
