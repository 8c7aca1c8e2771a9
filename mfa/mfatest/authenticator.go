package mfatest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// Flags of authenticator data (WebAuthn §6.1).
const (
	FlagUP byte = 1 << 0 // the user was present
	FlagUV byte = 1 << 2 // the user was verified
	FlagBE byte = 1 << 3 // the credential can be backed up
	FlagBS byte = 1 << 4 // and is
	FlagAT byte = 1 << 6 // a new credential follows
	FlagED byte = 1 << 7 // extensions follow
)

// COSE algorithms.
const (
	ES256 int64 = -7
	EdDSA int64 = -8
	RS256 int64 = -257
)

// Authenticator is a browser and an authenticator in one: it answers the options
// of both ceremonies as they would, at one origin. Its fields may be set between
// ceremonies; its methods are safe for concurrent use.
type Authenticator struct {
	// Origin is where the browser is.
	Origin string
	// Synced makes credentials that can be backed up, and are.
	Synced bool
	// Counts makes the authenticator count signatures, as security keys do.
	Counts bool
	// Algorithm is that of new credentials: ES256, EdDSA or RS256; 0: ES256.
	Algorithm int64

	mu    sync.Mutex
	keys  []*Key
	count uint32
}

// Key is one credential in the authenticator.
type Key struct {
	ID         []byte
	RPID       string
	UserHandle []byte
	Private    crypto.Signer
}

// Bend is an answer just before it is signed. It holds what an honest browser and
// authenticator would say; a test changes what it wants to lie about.
type Bend struct {
	Key *Key // who signs; only in Verify

	// Client data.
	Type        string
	Challenge   string
	Origin      string
	CrossOrigin bool
	TopOrigin   string
	// ClientData replaces the whole of it where it is not nil.
	ClientData []byte

	// Authenticator data.
	RPIDHash     []byte
	Flags        byte
	Counter      uint32
	CredentialID []byte // in the authenticator data of an enrollment; and in the answer, unless ID is set
	// AuthData changes the finished bytes, where it is not nil.
	AuthData func([]byte) []byte

	// Enrollment only.
	Algorithm int64  // in the public key
	Format    string // of the attestation
	// PublicKey changes the COSE key, Attestation the finished object.
	PublicKey   func(map[int]any)
	Attestation func([]byte) []byte

	// Verification only.
	UserHandle []byte // nil: none is sent
	// Signature changes the finished signature, where it is not nil.
	Signature func([]byte) []byte

	// Answer changes the finished answer, where it is not nil.
	Answer func(map[string]any)
}

var b64 = base64.RawURLEncoding

type creationOptions struct {
	PublicKey struct {
		RP   struct{ ID string }
		User struct {
			ID string
		}
		Challenge        string
		PubKeyCredParams []struct {
			Type string
			Alg  int64
		}
		ExcludeCredentials []struct{ ID string }
	}
}

type requestOptions struct {
	PublicKey struct {
		RPID             string
		Challenge        string
		AllowCredentials []struct{ ID string }
	}
}

// ErrExcluded says that the authenticator holds one of the credentials that are
// not wanted again.
var ErrExcluded = errors.New("the authenticator holds an excluded credential")

// Enroll answers the options of an enrollment with a new credential and
// attestation "none". bend may be nil.
func (a *Authenticator) Enroll(options []byte, bend func(*Bend)) ([]byte, error) {
	var o creationOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("reading options: %w", err)
	}
	handle, err := b64.DecodeString(o.PublicKey.User.ID)
	if err != nil {
		return nil, fmt.Errorf("reading the user handle: %w", err)
	}
	algorithm := a.Algorithm
	if algorithm == 0 {
		algorithm = ES256
	}
	offered := false
	for _, p := range o.PublicKey.PubKeyCredParams {
		offered = offered || p.Type == "public-key" && p.Alg == algorithm
	}
	if !offered {
		return nil, fmt.Errorf("algorithm %d was not offered", algorithm)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range o.PublicKey.ExcludeCredentials {
		if a.key(x.ID) != nil {
			return nil, ErrExcluded
		}
	}
	private, cose, err := newKey(algorithm)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	key := &Key{ID: make([]byte, 32), RPID: o.PublicKey.RP.ID, UserHandle: handle, Private: private}
	rand.Read(key.ID)

	b := a.honest("webauthn.create", o.PublicKey.Challenge, key)
	b.Flags |= FlagAT
	b.Algorithm, b.Format = algorithm, "none"
	if bend != nil {
		bend(b)
	}
	key.ID = b.CredentialID

	cose[3] = b.Algorithm
	if b.PublicKey != nil {
		b.PublicKey(cose)
	}
	coseBytes, err := encode(cose)
	if err != nil {
		return nil, err
	}
	var attested bytes.Buffer
	attested.Write(make([]byte, 16)) // AAGUID: unknown
	binary.Write(&attested, binary.BigEndian, uint16(len(b.CredentialID)))
	attested.Write(b.CredentialID)
	attested.Write(coseBytes)
	authData := b.authData(attested.Bytes())

	object, err := encode(map[string]any{"fmt": b.Format, "attStmt": map[string]any{}, "authData": authData})
	if err != nil {
		return nil, err
	}
	if b.Attestation != nil {
		object = b.Attestation(object)
	}
	answer := b.answer(map[string]any{
		"clientDataJSON":    b64.EncodeToString(b.clientData()),
		"attestationObject": b64.EncodeToString(object),
		"transports":        []string{"internal"},
	}, map[string]any{"credProps": map[string]any{"rk": true}})
	a.keys = append(a.keys, key)
	return json.Marshal(answer)
}

// Verify answers the options of a verification with the first credential that is
// allowed and held, or, where none is named, with the newest of the relying party
// (a discoverable credential). bend may be nil.
func (a *Authenticator) Verify(options []byte, bend func(*Bend)) ([]byte, error) {
	var o requestOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("reading options: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var key *Key
	for _, allowed := range o.PublicKey.AllowCredentials {
		if k := a.key(allowed.ID); k != nil && k.RPID == o.PublicKey.RPID {
			key = k
			break
		}
	}
	if len(o.PublicKey.AllowCredentials) == 0 {
		for _, k := range a.keys {
			if k.RPID == o.PublicKey.RPID {
				key = k
			}
		}
	}
	if key == nil {
		return nil, errors.New("the authenticator holds none of the allowed credentials")
	}
	b := a.honest("webauthn.get", o.PublicKey.Challenge, key)
	b.UserHandle = key.UserHandle
	if bend != nil {
		bend(b)
	}
	authData, clientData := b.authData(nil), b.clientData()
	hash := sha256.Sum256(clientData)
	signature, err := sign(b.Key.Private, append(bytes.Clone(authData), hash[:]...))
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if b.Signature != nil {
		signature = b.Signature(signature)
	}
	response := map[string]any{
		"clientDataJSON":    b64.EncodeToString(clientData),
		"authenticatorData": b64.EncodeToString(authData),
		"signature":         b64.EncodeToString(signature),
	}
	if b.UserHandle != nil {
		response["userHandle"] = b64.EncodeToString(b.UserHandle)
	}
	return json.Marshal(b.answer(response, map[string]any{}))
}

// Keys returns the credentials that the authenticator holds.
func (a *Authenticator) Keys() []*Key {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*Key(nil), a.keys...)
}

func (a *Authenticator) key(id string) *Key {
	for _, k := range a.keys {
		if b64.EncodeToString(k.ID) == id {
			return k
		}
	}
	return nil
}

func (a *Authenticator) honest(kind, challenge string, key *Key) *Bend {
	hash := sha256.Sum256([]byte(key.RPID))
	b := &Bend{
		Key: key, Type: kind, Challenge: challenge, Origin: a.Origin,
		RPIDHash: hash[:], Flags: FlagUP | FlagUV, CredentialID: key.ID,
	}
	if a.Synced {
		b.Flags |= FlagBE | FlagBS
	}
	if a.Counts {
		a.count++
		b.Counter = a.count
	}
	return b
}

func (b *Bend) clientData() []byte {
	if b.ClientData != nil {
		return b.ClientData
	}
	data := map[string]any{"type": b.Type, "challenge": b.Challenge, "origin": b.Origin, "crossOrigin": b.CrossOrigin}
	if b.TopOrigin != "" {
		data["topOrigin"] = b.TopOrigin
	}
	out, err := json.Marshal(data)
	if err != nil {
		panic(err) // strings and a boolean
	}
	b.ClientData = out
	return out
}

func (b *Bend) authData(attested []byte) []byte {
	var out bytes.Buffer
	out.Write(b.RPIDHash)
	out.WriteByte(b.Flags)
	binary.Write(&out, binary.BigEndian, b.Counter)
	out.Write(attested)
	if b.AuthData != nil {
		return b.AuthData(out.Bytes())
	}
	return out.Bytes()
}

func (b *Bend) answer(response, extensions map[string]any) map[string]any {
	id := b64.EncodeToString(b.CredentialID)
	answer := map[string]any{
		"id": id, "rawId": id, "type": "public-key", "response": response,
		"authenticatorAttachment": "platform", "clientExtensionResults": extensions,
	}
	if b.Answer != nil {
		b.Answer(answer)
	}
	return answer
}

// newKey makes a key pair and the COSE form of its public half, without the
// algorithm.
func newKey(algorithm int64) (crypto.Signer, map[int]any, error) {
	switch algorithm {
	case ES256:
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		point, err := k.PublicKey.Bytes() // 0x04, X, Y
		if err != nil {
			return nil, nil, err
		}
		return k, map[int]any{1: 2, -1: 1, -2: point[1:33], -3: point[33:]}, nil
	case EdDSA:
		public, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		return k, map[int]any{1: 1, -1: 6, -2: []byte(public)}, nil
	case RS256:
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, nil, err
		}
		return k, map[int]any{1: 3, -1: k.N.Bytes(), -2: big.NewInt(int64(k.E)).Bytes()}, nil
	}
	return nil, nil, fmt.Errorf("algorithm %d is none of ours", algorithm)
}

func sign(k crypto.Signer, message []byte) ([]byte, error) {
	if _, ok := k.(ed25519.PrivateKey); ok {
		return k.Sign(rand.Reader, message, crypto.Hash(0))
	}
	digest := sha256.Sum256(message)
	return k.Sign(rand.Reader, digest[:], crypto.SHA256)
}

func encode(v any) ([]byte, error) {
	mode, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		return nil, fmt.Errorf("preparing CBOR: %w", err)
	}
	out, err := mode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding CBOR: %w", err)
	}
	return out, nil
}
