//! The running router: tasks, sockets, disk, and the wiring of the engines.
