package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// user is what the app takes from an assertion.
type user struct {
	jwt.RegisteredClaims
	UserName string   `json:"preferred_username"`
	Email    string   `json:"email"`
	Groups   []string `json:"groups"`
	Methods  []string `json:"amr"`
	Class    string   `json:"acr"`
}

// verifier checks assertions for one app.
type verifier struct {
	origin, issuer, url string

	mu     sync.Mutex
	keys   map[string]key
	loaded time.Time
}

// key is one public key, and the one algorithm that it is good for.
type key struct {
	algorithm string
	public    any
}

func (v *verifier) verify(ctx context.Context, token string) (*user, error) {
	u := new(user)
	_, err := jwt.ParseWithClaims(token, u, func(t *jwt.Token) (any, error) {
		// Another kind of token of the same issuer is no assertion.
		if t.Header["typ"] != "mfa-assertion+jwt" {
			return nil, errors.New("another kind of token")
		}
		if _, there := t.Header["crit"]; there {
			return nil, errors.New("it asks for something that is not understood")
		}
		kid, _ := t.Header["kid"].(string)
		k, err := v.key(ctx, kid)
		if err != nil {
			return nil, err
		}
		// The key says which algorithm, never the token.
		if t.Method.Alg() != k.algorithm {
			return nil, errors.New("another algorithm than the key's")
		}
		return k.public, nil
	},
		jwt.WithValidMethods([]string{"EdDSA", "ES256"}), jwt.WithStrictDecoding(),
		jwt.WithIssuer(v.issuer), jwt.WithAudience(v.origin),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(10*time.Second),
	)
	if err != nil {
		return nil, err
	}
	if u.Subject == "" {
		return nil, errors.New("nobody's")
	}
	return u, nil
}

// key returns the key of that ID. Keys are kept for five minutes; one that is not among
// them has the app look again, every ten seconds at most, because a new key signs at once.
func (v *verifier) key(ctx context.Context, id string) (key, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k, ok := v.keys[id]
	if age := time.Since(v.loaded); age > 5*time.Minute || !ok && id != "" && age > 10*time.Second {
		keys, err := load(ctx, v.url)
		if err != nil {
			return key{}, fmt.Errorf("loading the keys: %w", err)
		}
		v.keys, v.loaded = keys, time.Now()
		k, ok = keys[id]
	}
	if !ok {
		return key{}, errors.New("no key of that ID")
	}
	return k, nil
}

var client = &http.Client{Timeout: 5 * time.Second}

func load(ctx context.Context, url string) (map[string]key, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	var set struct {
		Keys []struct{ Kty, Crv, X, Y, Kid, Alg string }
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&set); err != nil {
		return nil, err
	}
	keys := make(map[string]key)
	for _, k := range set.Keys {
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		if k.Kid == "" || errX != nil || errY != nil {
			continue
		}
		switch {
		case k.Kty == "OKP" && k.Crv == "Ed25519" && k.Alg == "EdDSA" && len(x) == ed25519.PublicKeySize:
			keys[k.Kid] = key{k.Alg, ed25519.PublicKey(x)}
		case k.Kty == "EC" && k.Crv == "P-256" && k.Alg == "ES256":
			if public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y)); err == nil {
				keys[k.Kid] = key{k.Alg, public}
			}
		}
	}
	return keys, nil
}
