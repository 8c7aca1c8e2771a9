package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
)

// Key signs tokens, with ES256 or RS256 as its kind is, under a name.
type Key struct {
	ID     string
	Signer crypto.Signer
}

// NewKey returns a new key for ES256.
func NewKey() Key {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // no randomness: no test can go on
	}
	return Key{ID: rand.Text(), Signer: key}
}

// Alg returns the key's algorithm.
func (k Key) Alg() string {
	if _, ok := k.Signer.(*rsa.PrivateKey); ok {
		return "RS256"
	}
	return "ES256"
}

// public returns the key as a provider shows it (RFC 7517).
func (k Key) public() map[string]any {
	m := map[string]any{"kid": k.ID, "use": "sig", "alg": k.Alg()}
	switch pub := k.Signer.Public().(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", encode(pub.N.Bytes()), encode(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		raw, err := pub.Bytes()
		if err != nil {
			panic(err)
		}
		m["kty"], m["crv"], m["x"], m["y"] = "EC", "P-256", encode(raw[1:33]), encode(raw[33:])
	}
	return m
}

// Sign returns the claims as a token. Header holds what differs from the usual one.
func (k Key) Sign(header, claims map[string]any) string {
	all := map[string]any{"alg": k.Alg(), "kid": k.ID, "typ": "JWT"}
	for name, value := range header {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	input := marshal(all) + "." + marshal(claims)
	sum := sha256.Sum256([]byte(input))
	var sig []byte
	var err error
	switch key := k.Signer.(type) {
	case *rsa.PrivateKey:
		sig, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		if r, s, err = ecdsa.Sign(rand.Reader, key, sum[:]); err == nil {
			sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	default:
		err = fmt.Errorf("no key of a kind that signs: %T", key)
	}
	if err != nil {
		panic(err)
	}
	return input + "." + encode(sig)
}

// HMAC returns the claims as a token that is signed with a secret (HS256): what a client
// that lets a token choose its algorithm would believe.
func HMAC(secret []byte, kid string, claims map[string]any) string {
	input := marshal(map[string]any{"alg": "HS256", "kid": kid, "typ": "JWT"}) + "." + marshal(claims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + encode(mac.Sum(nil))
}

// Unsigned returns the claims as a token that nobody has signed.
func Unsigned(claims map[string]any) string {
	return marshal(map[string]any{"alg": "none", "typ": "JWT"}) + "." + marshal(claims) + "."
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func marshal(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return encode(raw)
}
