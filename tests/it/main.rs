//! Tests of the program itself: its commands, its files, how it starts, stops and dies, and hostile neighbours.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod content;
#[cfg(test)]
mod devnet;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod life;
#[cfg(test)]
mod program;
