package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

type (
	factorsDocument struct {
		Factors []factorDocument `json:"factors"`
		Choices []choiceDocument `json:"choices"`
	}
	// addedDocument is a factor that was set up. CodesOwed says that the first set of
	// backup codes comes next (rule B14).
	addedDocument struct {
		Factor    factorDocument `json:"factor"`
		CodesOwed bool           `json:"backup_codes_owed"`
	}
	// ceremonyDocument is what a browser gets to make or to use a passkey.
	ceremonyDocument struct {
		ID        string          `json:"id"`
		PublicKey json.RawMessage `json:"publicKey"`
	}
	totpDocument struct {
		URI    string `json:"uri"`
		Secret string `json:"secret"`
	}
	sentDocument struct {
		Factor  mfa.Kind  `json:"factor"`
		Masked  string    `json:"masked"`
		Sent    time.Time `json:"sent"`
		Expires time.Time `json:"expires"`
		Again   time.Time `json:"again"`
	}
)

func (a *API) readFactors(c *call) (any, error) {
	account, err := c.look()
	if err != nil {
		return nil, err
	}
	return factorsDocument{factorsOf(account), choicesOf(account)}, nil
}

func (a *API) renameFactor(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	in, err := read[struct {
		Name string `json:"name"`
	}](c)
	if err != nil {
		return nil, err
	}
	cred := mfa.CredentialID(c.name("id"))
	if err := a.gate.Rename(c.r.Context(), &c.at, id, cred, in.Name); err != nil {
		return nil, c.orOwed(id, err)
	}
	account, err := c.lookAs(id)
	if err != nil {
		return nil, err
	}
	for i := range account.Credentials {
		if account.Credentials[i].ID == cred {
			return factorOf(&account.Credentials[i]), nil
		}
	}
	return nil, mfa.ErrNotFound // removed since
}

// removeFactor removes a factor. With "last=true" it takes the last one as well, and
// whatever is enrolled beside it: the app has warned the person (rule B34).
func (a *API) removeFactor(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	cred := mfa.CredentialID(c.name("id"))
	switch c.r.URL.RawQuery {
	case "":
		return nil, c.orOwed(id, a.gate.Remove(c.r.Context(), &c.at, id, cred))
	case "last=true":
	default:
		return nil, errQuery
	}
	out, err := a.gate.RemoveLast(c.r.Context(), &c.at, id, cred)
	if err != nil {
		return nil, c.orOwed(id, err)
	}
	return nil, c.keep(out)
}

// added writes the cookies of a set-up and shows the new factor.
func (c *call) added(out *mfa.Outcome, k mfa.Kind) (any, error) {
	if err := c.keep(out); err != nil {
		return nil, err
	}
	added := addedDocument{CodesOwed: out.Decision.Action == mfa.SetUp && out.Decision.Reason == mfa.ReasonNoCodes}
	for _, h := range out.Subject.Held {
		if h.Kind == k {
			added.Factor = factorDocument{ID: h.ID, Factor: k, Host: h.RPID} // the newest is the last
		}
	}
	// It is kept: where the account cannot be read now, the answer is shorter and no failure.
	if account, err := c.api.gate.Account(c.r.Context(), &c.at, out.Session.ID); err == nil {
		for i := range account.Credentials {
			if account.Credentials[i].ID == added.Factor.ID {
				added.Factor = factorOf(&account.Credentials[i])
			}
		}
	}
	return created{added}, nil
}

// ceremony shows the options of a passkey ceremony.
func ceremony(begun *mfa.Ceremony) (any, error) {
	var options struct {
		PublicKey json.RawMessage `json:"publicKey"`
	}
	if err := json.Unmarshal(begun.Options, &options); err != nil {
		return nil, fmt.Errorf("reading the options of a ceremony: %w", err)
	}
	return ceremonyDocument{begun.ID, options.PublicKey}, nil
}

func (a *API) beginPasskey(c *call) (any, error) {
	id, err := c.started()
	if err != nil {
		return nil, err
	}
	begun, err := a.gate.BeginPasskey(c.r.Context(), &c.at, id)
	if err != nil {
		return nil, c.orOwed(id, err)
	}
	return ceremony(begun)
}

// started is id for a request whose body says nothing.
func (c *call) started() (mfa.SessionID, error) {
	id, err := c.id()
	if err == nil {
		_, err = read[nothing](c)
	}
	return id, err
}

func (a *API) finishPasskey(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	in, err := read[struct {
		ID     string          `json:"id"`
		Answer json.RawMessage `json:"answer"`
		Name   string          `json:"name,omitempty"`
	}](c)
	if err != nil {
		return nil, err
	}
	out, err := a.gate.FinishPasskey(c.r.Context(), &c.at, id, in.ID, in.Answer, in.Name)
	if err != nil {
		return nil, c.orOwed(id, err)
	}
	return c.added(out, mfa.Passkey)
}

// beginTOTP shows the secret of a new authenticator app. It is ours, it belongs to this
// session alone, and it is worth nothing before its first code; one that is set up is
// never shown again (AC-161, AC-163).
func (a *API) beginTOTP(c *call) (any, error) {
	id, err := c.started()
	if err != nil {
		return nil, err
	}
	setup, err := a.gate.BeginTOTP(c.r.Context(), &c.at, id)
	if err != nil {
		return nil, c.orOwed(id, err)
	}
	return totpDocument{URI: string([]byte(setup.URI)), Secret: string([]byte(setup.Secret))}, nil
}

func (a *API) finishTOTP(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	in, err := read[struct {
		Code string `json:"code"`
		Name string `json:"name,omitempty"`
	}](c)
	if err != nil {
		return nil, err
	}
	out, err := a.gate.FinishTOTP(c.r.Context(), &c.at, id, in.Code, in.Name)
	if err != nil {
		return nil, c.orOwed(id, err)
	}
	return c.added(out, mfa.TOTP)
}

// sendAddress sends a code to an address, typed or chosen, that is to become a factor.
// One that this session has proven becomes one at once (rule B12).
func (a *API) sendAddress(k mfa.Kind) handler {
	return func(c *call) (any, error) {
		id, err := c.id()
		if err != nil {
			return nil, err
		}
		in, err := read[struct {
			Address string `json:"address,omitempty"`
			Ref     string `json:"ref,omitempty"`
			Again   bool   `json:"again,omitempty"`
		}](c)
		switch {
		case err != nil:
			return nil, err
		case in.Address == "" && in.Ref == "":
			return nil, &fieldError{"address", "missing"}
		case in.Address != "" && in.Ref != "":
			return nil, &fieldError{"ref", "body"} // which of the two is meant?
		}
		out, to, err := a.gate.SetUpAddress(c.r.Context(), &c.at, id, k, mfa.AddressInput{Typed: in.Address, Ref: in.Ref}, in.Again)
		switch {
		case errors.Is(err, mfa.ErrNotOwed):
			return nil, errHeld
		case err != nil:
			return nil, c.orOwed(id, err)
		case out != nil:
			return c.added(out, k)
		}
		return sent(to), nil
	}
}

func sent(to *mfa.SentTo) sentDocument {
	return sentDocument{Factor: to.Kind, Masked: to.Masked, Sent: *stamp(to.At), Expires: *stamp(to.Expires), Again: *stamp(to.Again)}
}

func (a *API) finishAddress(k mfa.Kind) handler {
	return func(c *call) (any, error) {
		id, err := c.id()
		if err != nil {
			return nil, err
		}
		in, err := read[codeBody](c)
		if err != nil {
			return nil, err
		}
		out, err := a.gate.FinishAddress(c.r.Context(), &c.at, id, k, in.Code)
		if err != nil {
			return nil, c.orOwed(id, err)
		}
		return c.added(out, k)
	}
}

// codeBody is a body with a code and nothing else.
type codeBody struct {
	Code string `json:"code"`
}
