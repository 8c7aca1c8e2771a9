package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

func keyInfoOf(k *mfa.APIKey) *keyInfo {
	return &keyInfo{
		ID: k.ID, Name: k.Name, Scopes: k.Powers.List(), Organization: string(k.Organization), By: k.ByName,
		Created: k.Created, Expires: k.Expires, LastUsed: k.LastUsed, LastNetwork: k.LastNetwork,
	}
}

// keys carries out what is about the API keys of programs.
func (d desk) keys(ctx context.Context, op string, in adminRequest) (*adminAnswer, error) {
	switch op {
	case opKeyCreate:
		return d.createKey(ctx, in)
	case opKeyRevoke:
		if err := d.admin.RevokeAPIKey(ctx, in.Key); err != nil {
			return nil, fmt.Errorf("key %q: %w; which there are: secondgate mfa keys list", in.Key, err)
		}
		return &adminAnswer{Done: "The key " + in.Key + " opens nothing any more."}, nil
	}
	list, err := d.admin.APIKeys(ctx)
	if err != nil {
		return nil, err
	}
	answer := &adminAnswer{Keys: []keyInfo{}}
	for _, k := range list {
		answer.Keys = append(answer.Keys, *keyInfoOf(k))
	}
	return answer, nil
}

func (d desk) createKey(ctx context.Context, in adminRequest) (*adminAnswer, error) {
	life, err := mfa.ParseDuration(in.For)
	if err != nil || life < time.Hour || life > mfa.MaxKeyLife {
		return nil, wrong("%q is no time from one hour to 366 days; write for example: --for 90d", in.For)
	}
	powers, err := mfa.ParsePowers(in.Scopes)
	if err != nil || powers == 0 {
		return nil, wrong("say what the key is to open, once for each: --scope users:read; there are %s", scopeWords())
	}
	text, k, err := d.admin.CreateAPIKey(ctx, mfa.APIKeyInput{
		Name: in.Name, Powers: powers, Organization: mfa.OrganizationID(in.Organization), Life: life,
	})
	switch {
	case errors.Is(err, mfa.ErrName):
		return nil, wrong("%q cannot be the name of a key: one to 64 characters of a line of text", in.Name)
	case errors.Is(err, mfa.ErrLimit):
		return nil, fmt.Errorf("there are %d keys, and that is the most (%w); revoke one first", mfa.MaxAPIKeys, err)
	case errors.Is(err, mfa.ErrNotAllowed) && in.Organization != "":
		return nil, wrong("a key of one organization opens users:read, users:write and organizations:read; the rest is of the whole gateway")
	case err != nil:
		return nil, err
	}
	return &adminAnswer{Secret: text, Expires: k.Expires, Key: keyInfoOf(k)}, nil
}
