package api

import (
	"time"

	"github.com/secondgate/secondgate/mfa"
)

type (
	keyRequest struct {
		Name         string             `json:"name"`
		Scopes       []string           `json:"scopes"`
		ExpiresIn    int                `json:"expires_in"`
		Organization mfa.OrganizationID `json:"organization,omitempty"`
	}
	// keyDocument is a key without what it is checked with (AC-225).
	keyDocument struct {
		ID           string             `json:"id"`
		Name         string             `json:"name"`
		Scopes       []string           `json:"scopes"`
		Organization mfa.OrganizationID `json:"organization,omitempty"`
		Created      time.Time          `json:"created"`
		Expires      time.Time          `json:"expires"`
		MadeBy       string             `json:"made_by,omitempty"`
		LastUsed     *time.Time         `json:"last_used,omitempty"`
		LastNetwork  string             `json:"last_network,omitempty"`
	}
	keysDocument struct {
		Keys []keyDocument `json:"keys"`
	}
	// newKeyDocument has the text of the key, which is shown this once.
	newKeyDocument struct {
		Key  keyDocument `json:"key"`
		Text string      `json:"text"`
	}
)

func keyOf(k *mfa.APIKey) keyDocument {
	return keyDocument{
		ID: k.ID, Name: k.Name, Scopes: k.Powers.List(), Organization: k.Organization, Created: *stamp(k.Created), Expires: *stamp(k.Expires),
		MadeBy: k.ByName, LastUsed: stamp(k.LastUsed), LastNetwork: k.LastNetwork,
	}
}

func listKeys(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	list, err := c.admin.APIKeys(c.r.Context())
	if err != nil {
		return nil, c.adminError(err)
	}
	d := keysDocument{Keys: []keyDocument{}}
	for _, k := range list {
		d.Keys = append(d.Keys, keyOf(k))
	}
	return d, nil
}

func createKey(c *call) (any, error) {
	in, err := readOnly[keyRequest](c)
	if err != nil {
		return nil, err
	}
	powers, err := mfa.ParsePowers(in.Scopes)
	if err != nil || powers == 0 {
		return nil, &fieldError{"scopes", "body"}
	}
	life, err := lifeOf(in.ExpiresIn, time.Hour, mfa.MaxKeyLife)
	if err != nil || life == 0 {
		return nil, &fieldError{"expires_in", "body"}
	}
	text, k, err := c.admin.CreateAPIKey(c.r.Context(), mfa.APIKeyInput{Name: in.Name, Powers: powers, Organization: in.Organization, Life: life})
	if err != nil {
		return nil, c.adminError(err)
	}
	return created{newKeyDocument{keyOf(k), text}}, nil
}

func revokeKey(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	return nil, c.adminError(c.admin.RevokeAPIKey(c.r.Context(), c.name("id")))
}
