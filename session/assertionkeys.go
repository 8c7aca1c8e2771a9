package session

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithm is how assertions are signed. The zero value is none.
type Algorithm string

// The algorithms (RFC 8037 §3.1, RFC 7518 §3.4).
const (
	EdDSA Algorithm = "EdDSA" // with Ed25519
	ES256 Algorithm = "ES256" // for apps whose libraries have no Ed25519
)

// signers are the keys of one moment.
type signers struct {
	method    jwt.SigningMethod
	keys      []signer // in the order in which they are to be taken
	published []byte
}

// signer is one key that can sign. What it signed is kept under its stamp.
type signer struct {
	private any // what the method signs with
	kid     string
	known   time.Time
	stamp   *stamp
}

// at returns the key to sign with: the first one that apps can know by now, or, where
// there is none, the one that they can know soonest. Apps keep the published keys for some
// minutes, and refuse what a key signed that is newer.
func (s *signers) at(now time.Time) *signer {
	best := &s.keys[0]
	for i := range s.keys {
		k := &s.keys[i]
		if !k.known.After(now) {
			return k
		}
		if k.known.Before(best.known) {
			best = k
		}
	}
	return best
}

// SetKeys replaces the keys; which one signs, AssertionConfig says. Nothing that others
// signed is sent from now on. On an error the keys stay as they are.
func (a *Assertions) SetKeys(keys []Key) error {
	if len(keys) == 0 {
		return errors.New("making assertions: no key")
	}
	s := new(signers)
	var public []publicKey
	for _, k := range keys {
		if k.ID == "" || len(k.Secret) != keySize {
			return fmt.Errorf("making assertions: key %q: has an ID and a secret of %d bytes", k.ID, keySize)
		}
		method, private, p, err := a.algorithm.key(k.Secret)
		if err != nil {
			return fmt.Errorf("making assertions: key %q: %w", k.ID, err)
		}
		s.method = method
		s.keys = append(s.keys, signer{private, p.ID, k.Known, new(stamp)})
		public = append(public, p)
	}
	var err error
	if s.published, err = keySet(public); err != nil {
		return fmt.Errorf("making assertions: %w", err)
	}
	a.signers.Store(s)
	return nil
}

// publicKey is a key as apps see it (RFC 7517 §4, RFC 7518 §6.2, RFC 8037 §2).
type publicKey struct {
	Type      string    `json:"kty"`
	Curve     string    `json:"crv"`
	X         string    `json:"x"`
	Y         string    `json:"y,omitempty"`
	ID        string    `json:"kid"`
	Use       string    `json:"use"`
	Algorithm Algorithm `json:"alg"`
}

// keySet returns the document.
func keySet(keys []publicKey) ([]byte, error) {
	return json.Marshal(struct {
		Keys []publicKey `json:"keys"`
	}{keys})
}

// EmptyKeySet is the document of a gateway that makes no assertions.
var EmptyKeySet = []byte(`{"keys":[]}`)

// key makes the key pair that belongs to the secret. The same secret gives the same pair,
// on each node and after each start, so nothing but the secrets has to be kept; each
// algorithm has a pair of its own, so that no key is used for two.
func (alg Algorithm) key(secret []byte) (jwt.SigningMethod, any, publicKey, error) {
	switch alg {
	case EdDSA:
		// Any 32 bytes are a private key (RFC 8032 §5.1.5).
		seed, err := hkdf.Key(sha256.New, secret, nil, "assertion Ed25519", ed25519.SeedSize)
		if err != nil {
			return nil, nil, publicKey{}, err
		}
		private := ed25519.NewKeyFromSeed(seed)
		public := publicKey{Type: "OKP", Curve: "Ed25519", X: b64(private.Public().(ed25519.PublicKey)), Algorithm: alg}
		return jwt.SigningMethodEdDSA, private, public.named(), nil
	case ES256:
		private, err := p256(secret)
		if err != nil {
			return nil, nil, publicKey{}, err
		}
		point, err := private.PublicKey.Bytes() // 4, X, Y
		if err != nil {
			return nil, nil, publicKey{}, err
		}
		public := publicKey{Type: "EC", Curve: "P-256", X: b64(point[1:33]), Y: b64(point[33:]), Algorithm: alg}
		return jwt.SigningMethodES256, private, public.named(), nil
	}
	return nil, nil, publicKey{}, fmt.Errorf("algorithm %q is neither %s nor %s", string(alg), EdDSA, ES256)
}

// p256 returns the private key that belongs to the secret. A scalar must be at least 1 and
// less than the order of the curve, and each as likely as another: candidates that are not
// are passed over (FIPS 186-5 A.2.2), which happens once in four thousand million times,
// rather than taken modulo the order.
func p256(secret []byte) (*ecdsa.PrivateKey, error) {
	for i := range 8 {
		scalar, err := hkdf.Key(sha256.New, secret, nil, "assertion P-256 "+strconv.Itoa(i), 32)
		if err != nil {
			return nil, err
		}
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("no private key comes of this secret")
}

// named adds the ID: the key's thumbprint (RFC 7638, RFC 8037 appendix A.3). An app that
// has kept the keys of before sees by it that it must look again, also when the algorithm
// was changed, and it tells nothing of the key file.
func (k publicKey) named() publicKey {
	members := `{"crv":"` + k.Curve + `","kty":"` + k.Type + `","x":"` + k.X + `"`
	if k.Y != "" {
		members += `,"y":"` + k.Y + `"`
	}
	sum := sha256.Sum256([]byte(members + "}"))
	k.ID, k.Use = b64(sum[:]), "sig"
	return k
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
