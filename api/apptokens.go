package api

import (
	"time"

	"github.com/secondgate/secondgate/mfa"
)

type (
	tokenRequest struct {
		Name      string `json:"name"`
		Host      string `json:"host"`
		ExpiresIn int    `json:"expires_in,omitempty"`
	}
	// tokenDocument is an app token without what it is checked with (AC-131, AC-225).
	tokenDocument struct {
		ID       string     `json:"id"`
		Name     string     `json:"name"`
		Host     string     `json:"host"`
		Created  time.Time  `json:"created"`
		Expires  time.Time  `json:"expires"`
		LastUsed *time.Time `json:"last_used,omitempty"`
	}
	tokensDocument struct {
		Tokens []tokenDocument `json:"tokens"`
		Hosts  []string        `json:"hosts"`
	}
	userTokensDocument struct {
		Tokens []tokenDocument `json:"tokens"`
	}
	// newTokenDocument has the text of the token, which is shown this once.
	newTokenDocument struct {
		Token tokenDocument `json:"token"`
		Text  string        `json:"text"`
	}
)

func tokenOf(t *mfa.AppToken) tokenDocument {
	return tokenDocument{ID: t.ID, Name: t.Name, Host: t.Host, Created: *stamp(t.Created), Expires: *stamp(t.Expires), LastUsed: stamp(t.LastUsed)}
}

func tokensOf(list []mfa.AppToken) []tokenDocument {
	documents := []tokenDocument{}
	for i := range list {
		documents = append(documents, tokenOf(&list[i]))
	}
	return documents
}

func (a *API) readTokens(c *call) (any, error) {
	account, err := c.look()
	if err != nil {
		return nil, err
	}
	return tokensDocument{tokensOf(account.AppTokens), append([]string{}, account.AppHosts...)}, nil
}

// createToken makes an app token. Only a person does: a program with a token reaches
// nothing here, so that no token makes another.
func (a *API) createToken(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	in, err := read[tokenRequest](c)
	if err != nil {
		return nil, err
	}
	life, err := lifeOf(in.ExpiresIn, time.Hour, mfa.MaxAppTokenLife)
	if err != nil {
		return nil, err
	}
	text, t, err := a.gate.CreateAppToken(c.r.Context(), &c.at, id, mfa.AppTokenInput{Name: in.Name, Host: in.Host, Life: life})
	if err != nil {
		return nil, c.orOwed(id, err)
	}
	return created{newTokenDocument{tokenOf(t), text}}, nil
}

func (a *API) revokeToken(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	return nil, c.orOwed(id, a.gate.RevokeAppToken(c.r.Context(), &c.at, id, c.name("id")))
}

func listUserTokens(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	list, err := c.admin.AppTokens(c.r.Context(), c.person())
	if err != nil {
		return nil, c.adminError(err)
	}
	return userTokensDocument{tokensOf(list)}, nil
}

func revokeUserTokens(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	return nil, c.adminError(c.admin.RevokeAppToken(c.r.Context(), c.person(), ""))
}

func revokeUserToken(c *call) (any, error) {
	if _, err := c.query(); err != nil {
		return nil, err
	}
	return nil, c.adminError(c.admin.RevokeAppToken(c.r.Context(), c.person(), c.name("id")))
}
