//! Data that the application has written and that was not sent yet.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

const LEAST_BLOCK: usize = 4 << 10;
const MOST_BLOCK: usize = 64 << 10;

/// A queue of blocks. Packets share a block's memory; only a packet across two blocks is copied.
#[derive(Default)]
pub(crate) struct Buffer {
    blocks: VecDeque<BytesMut>,
    length: usize,
}

impl Buffer {
    /// Bytes not yet taken.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends as much as fits below `limit` bytes; how much that was.
    pub(crate) fn write(&mut self, data: &[u8], limit: usize) -> usize {
        let accepted = data.len().min(limit.saturating_sub(self.length));
        let mut data = data.get(..accepted).unwrap_or_default();
        while !data.is_empty() {
            let room = self.blocks.back().map_or(0, |block| block.capacity() - block.len());
            if room == 0 {
                let size = data.len().max(self.length).next_power_of_two().clamp(LEAST_BLOCK, MOST_BLOCK);
                self.blocks.push_back(BytesMut::with_capacity(size));
                continue;
            }
            let (head, tail) = data.split_at(room.min(data.len()));
            if let Some(block) = self.blocks.back_mut() {
                block.extend_from_slice(head);
            }
            data = tail;
        }
        self.length += accepted;
        accepted
    }

    /// Appends data whatever its length, without copying it if no one else holds it.
    pub(crate) fn append(&mut self, data: Bytes) {
        match data.try_into_mut() {
            Ok(block) if !block.is_empty() => {
                self.length += block.len();
                self.blocks.push_back(block);
            }
            Ok(_) => {}
            Err(data) => {
                self.write(&data, usize::MAX);
            }
        }
    }

    /// Takes up to `most` bytes.
    pub(crate) fn take(&mut self, most: usize) -> Bytes {
        let wanted = most.min(self.length);
        self.length -= wanted;
        if let Some(front) = self.blocks.front_mut()
            && front.len() >= wanted
        {
            let taken = front.split_to(wanted).freeze();
            self.drop_used();
            return taken;
        }
        let mut gathered = BytesMut::with_capacity(wanted);
        while gathered.len() < wanted {
            let Some(front) = self.blocks.front_mut() else { break };
            let part = front.split_to(front.len().min(wanted - gathered.len()));
            gathered.extend_from_slice(&part);
            self.drop_used();
        }
        gathered.freeze()
    }

    /// Drops a front block that is read to its end and has no use as the last one.
    fn drop_used(&mut self) {
        if self
            .blocks
            .front()
            .is_some_and(|block| block.is_empty() && (self.blocks.len() > 1 || block.capacity() == 0))
        {
            self.blocks.pop_front();
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
