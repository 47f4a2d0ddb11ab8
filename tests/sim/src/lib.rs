//! Whole networks in virtual time: a simulated network, topologies, faults and fleets.
