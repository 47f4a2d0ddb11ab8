//! The engine, alone and in a little network.

mod alone;
mod hostile;
mod network;
