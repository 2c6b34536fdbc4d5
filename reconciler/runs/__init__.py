"""Effects with memory: plans on disk, and the execution of one."""
