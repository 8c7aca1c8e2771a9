package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"sync/atomic"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrOpen is the one answer to everything that does not open: another key,
// changed bytes, another place. Which of them it was helps only who tries.
var ErrOpen = errors.New("sealed data does not open: it was changed or moved, or the key file is another one")

const (
	boxVersion = 1
	headSize   = 1 + idSize
)

// Overhead is how many bytes sealing adds.
const Overhead = headSize + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead

// Box seals and opens bytes with XChaCha20-Poly1305. Its nonces are long enough
// to be drawn at random for as long as a key lives, however often records are
// written. It follows its key set: what it seals next is sealed with the key that is the
// primary one then. It is safe for concurrent use; formatting it shows no key.
//
// A sealed text is: version, ID of the key, nonce, ciphertext with tag.
type Box struct {
	keys    *Keyset
	purpose string
	made    atomic.Pointer[ciphers]
	strange strange
}

// ciphers are what a box makes of one state of the keys.
type ciphers struct {
	of      *state
	sealing cipher.AEAD
	head    [headSize]byte
	opening map[[headSize]byte]cipher.AEAD
}

// Box returns the box of one purpose: what one seals, another does not open.
func (ks *Keyset) Box(purpose string) *Box {
	b := &Box{keys: ks, purpose: purpose}
	b.now()
	return b
}

// now returns the ciphers of the keys as they are now.
func (b *Box) now() *ciphers {
	st := b.keys.state.Load()
	if c := b.made.Load(); c != nil && c.of == st {
		return c
	}
	// Who is late may put older ciphers back: whoever comes next sees that they are not of
	// the state that it reads, and makes them anew.
	c := newCiphers(st, b.purpose)
	b.made.Store(c)
	return c
}

func newCiphers(st *state, purpose string) *ciphers {
	c := &ciphers{of: st, opening: make(map[[headSize]byte]cipher.AEAD, len(st.keys))}
	for i := range st.keys {
		k := &st.keys[i]
		aead, err := chacha20poly1305.NewX(k.derive("box:" + purpose))
		if err != nil {
			panic("seal: making a box: " + err.Error()) // the key has the right length by construction
		}
		head := [headSize]byte{boxVersion}
		copy(head[1:], k.id[:])
		c.opening[head] = aead
		if k.status == Primary {
			c.sealing, c.head = aead, head
		}
	}
	return c
}

// Seal returns plain sealed for the place that aad names.
func (b *Box) Seal(plain, aad []byte) []byte {
	c := b.now()
	out := make([]byte, headSize+chacha20poly1305.NonceSizeX, len(plain)+Overhead)
	copy(out, c.head[:])
	nonce := out[headSize:]
	// crypto/rand.Read ends the process rather than return bytes that are not
	// random.
	_, _ = rand.Read(nonce)
	return c.sealing.Seal(out, nonce, plain, place(c.head, aad))
}

// Open returns what was sealed for the place that aad names, or ErrOpen.
func (b *Box) Open(sealed, aad []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, ErrOpen
	}
	head := [headSize]byte(sealed[:headSize])
	aead := b.now().opening[head]
	if aead == nil {
		c := b.newer(head)
		if c == nil {
			return nil, ErrOpen
		}
		aead = c.opening[head]
	}
	nonce := sealed[headSize : headSize+chacha20poly1305.NonceSizeX]
	plain, err := aead.Open(nil, nonce, sealed[headSize+chacha20poly1305.NonceSizeX:], place(head, aad))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// Current reports whether the primary key sealed it; what an older one sealed is
// sealed anew when it is next written, and by a rotation.
func (b *Box) Current(sealed []byte) bool {
	return len(sealed) >= Overhead && [headSize]byte(sealed[:headSize]) == b.now().head
}

// place binds the head too, so that no byte of a sealed text can be changed.
func place(head [headSize]byte, aad []byte) []byte {
	return append(append(make([]byte, 0, headSize+len(aad)), head[:]...), aad...)
}

// String returns a fixed word.
func (*Box) String() string { return "[sealing box]" }

// GoString returns a fixed word.
func (*Box) GoString() string { return "[sealing box]" }
