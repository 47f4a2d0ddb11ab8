//! Tests of the program itself: its commands, its files, how it starts, stops and dies, and hostile neighbours.

mod commands;
mod devnet;
mod hostile;
mod life;
mod program;
