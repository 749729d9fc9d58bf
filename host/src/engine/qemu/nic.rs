//! A machine's network card: behind a port of its own, so that the guest can give it up and get another one.
//!
//! It is not there while a machine's memory is saved, and plugged in again afterwards. So whoever goes on from that memory
//! gets a card with an address of its own.

use super::super::machine::Machine;
use crate::vm::record::Network;
use serde_json::{Value, json};
use std::fmt::Write as _;
use uuid::Uuid;

/// The card's id in QEMU.
pub(super) const NIC: &str = "nic";
/// That of the port that it is in, which every machine has.
pub(super) const PORT: &str = "nic-port";

/// Returns the card of a machine, if it has a network.
pub(super) fn device(machine: &Machine) -> Option<Value> {
    // Nothing boots from it, so its firmware, a package of its own, is not needed.
    (machine.network == Network::User).then(|| {
        json!({
            "driver": "virtio-net-pci",
            "id": NIC,
            "bus": PORT,
            "netdev": "net",
            "mac": mac(machine.uuid),
            "romfile": "",
        })
    })
}

/// Returns the address of a machine's card: always the same for one machine, locally administered, and another one for each
/// but by a chance of 1 in 4 thousand million.
fn mac(machine: Uuid) -> String {
    let bytes = Uuid::new_v5(&machine, b"mac");
    let mut text = "52:54".to_owned();
    for byte in &bytes.as_bytes()[..4] {
        // Writing to text does not fail.
        let _ = write!(text, ":{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_machine_has_an_address_of_its_own() {
        let (one, other) = (mac(Uuid::from_u128(1)), mac(Uuid::from_u128(2)));
        assert_ne!(one, other);
        assert_eq!(one, mac(Uuid::from_u128(1)));
        let first = u8::from_str_radix(&one[..2], 16).unwrap();
        assert_eq!(first & 0b11, 0b10, "locally administered, of one card");
        assert_eq!(one.len(), 17);
    }
}
