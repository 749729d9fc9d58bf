//! A guest of one sector that proves that an accelerator runs code: into long mode, then the exit port.
//!
//! Real mode proves nothing: software KVM (as in nested, hardware-less hosts) emulates it instruction
//! by instruction and then hangs at the first instruction behind paging, where every kernel lives.

/// The exit status of QEMU: isa-debug-exit makes it of the written 0x10, twice it plus one.
pub(crate) const EXIT_STATUS: i32 = 33;

/// Loaded at 0x7c00; page tables for the first 2 MiB at 0x1000, 0x2000 and 0x3000.
#[rustfmt::skip]
const CODE: &[u8] = &[
    0xfa,                                           // cli
    0x31, 0xc0,                                     // xor    ax, ax
    0x8e, 0xd8,                                     // mov    ds, ax
    0x8e, 0xc0,                                     // mov    es, ax
    0x8e, 0xd0,                                     // mov    ss, ax
    0xbc, 0x00, 0x7c,                               // mov    sp, 0x7c00
    0xbf, 0x00, 0x10,                               // mov    di, 0x1000
    0xb9, 0x00, 0x18,                               // mov    cx, 0x1800
    0xfc, 0xf3, 0xab,                               // cld; rep stosw
    0xc7, 0x06, 0x00, 0x10, 0x03, 0x20,             // mov    word [0x1000], 0x2003
    0xc7, 0x06, 0x00, 0x20, 0x03, 0x30,             // mov    word [0x2000], 0x3003
    0xc7, 0x06, 0x00, 0x30, 0x83, 0x00,             // mov    word [0x3000], 0x83 (a 2 MiB page)
    0x66, 0xb8, 0x00, 0x10, 0x00, 0x00,             // mov    eax, 0x1000
    0x0f, 0x22, 0xd8,                               // mov    cr3, eax
    0x0f, 0x20, 0xe0,                               // mov    eax, cr4
    0x66, 0x83, 0xc8, 0x20,                         // or     eax, PAE
    0x0f, 0x22, 0xe0,                               // mov    cr4, eax
    0x66, 0xb9, 0x80, 0x00, 0x00, 0xc0,             // mov    ecx, EFER
    0x0f, 0x32,                                     // rdmsr
    0x66, 0x0d, 0x00, 0x01, 0x00, 0x00,             // or     eax, LME
    0x0f, 0x30,                                     // wrmsr
    0x0f, 0x01, 0x16, 0x88, 0x7c,                   // lgdt   [0x7c88]
    0x0f, 0x20, 0xc0,                               // mov    eax, cr0
    0x66, 0x0d, 0x01, 0x00, 0x00, 0x80,             // or     eax, PG | PE
    0x0f, 0x22, 0xc0,                               // mov    cr0, eax
    0xea, 0x60, 0x7c, 0x08, 0x00,                   // jmp    8:0x7c60
    // 0x60, 64 bits from here on; the loop takes a CPU some 50 ms
    0xb9, 0x00, 0xe1, 0xf5, 0x05,                   // mov    ecx, 100_000_000
    0xff, 0xc9,                                     // dec    ecx
    0x75, 0xfc,                                     // jnz    back to dec
    0x66, 0xba, 0xf4, 0x00,                         // mov    dx, 0xf4
    0xb0, 0x10,                                     // mov    al, 0x10
    0xee,                                           // out    dx, al
    0xf4, 0xeb, 0xfd,                               // hlt, again and again
    0x0f, 0x1f, 0x44, 0x00, 0x00,                   // (fills up to 0x78)
    0, 0, 0, 0, 0, 0, 0, 0,                         // 0x78, GDT: null
    0x00, 0x00, 0x00, 0x00, 0x00, 0x9a, 0x20, 0x00, // 0x80: code, 64 bits
    0x0f, 0x00, 0x78, 0x7c, 0x00, 0x00,             // 0x88: limit and address of the GDT
];

/// Returns a disk that boots it; SeaBIOS does not boot from one of a single sector.
pub(crate) fn disk() -> Vec<u8> {
    let mut disk = vec![0; 1 << 20];
    disk[..CODE.len()].copy_from_slice(CODE);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_and_tables_point_at_what_they_name() {
        assert_eq!(CODE[0x60..0x65], [0xb9, 0x00, 0xe1, 0xf5, 0x05]);
        assert_eq!(CODE[0x80 + 6], 0x20, "the long-mode bit of the code segment");
        assert_eq!(CODE.len(), 0x88 + 6);
        assert_eq!(CODE[0x88..0x8c], [0x0f, 0x00, 0x78, 0x7c]);
    }
}
