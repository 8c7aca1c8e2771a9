package moving

import "encoding/binary"

// coseES256 writes a point of P-256 as a COSE key (RFC 9053 §7.1.1): a map of five, with
// kty 2, alg -7, crv 1, x and y.
func coseES256(x, y []byte) []byte {
	key := []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 32}
	key = append(key, x...)
	key = append(key, 0x22, 0x58, 32)
	return append(key, y...)
}

// coseRS256 writes an RSA key as a COSE key (RFC 8230 §4): a map of four, with kty 3, alg
// -257, n and e. The exponent is 65537, the one that the source computes with.
func coseRS256(n []byte) []byte {
	key := []byte{0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20, 0x59}
	key = binary.BigEndian.AppendUint16(key, uint16(len(n)))
	key = append(key, n...)
	return append(key, 0x21, 0x43, 0x01, 0x00, 0x01)
}
