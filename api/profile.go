package api

import (
	"errors"

	"github.com/secondgate/secondgate/mfa"
)

// changeName changes how a local account's person is called, and nothing else of the
// account (AC-227).
func (a *API) changeName(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	in, err := read[struct {
		DisplayName string `json:"display_name"`
	}](c)
	if err != nil {
		return nil, err
	}
	return nil, c.orOwed(id, a.gate.ChangeName(c.r.Context(), &c.at, id, in.DisplayName))
}

// sendEmail sends a code to what is to become the account's address. It counts for
// nothing before finishEmail took the code (AC-164).
func (a *API) sendEmail(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	in, err := read[struct {
		Address string `json:"address"`
		Again   bool   `json:"again,omitempty"`
	}](c)
	if err != nil {
		return nil, err
	}
	to, err := a.gate.BeginEmail(c.r.Context(), &c.at, id, in.Address, in.Again)
	if errors.Is(err, mfa.ErrNotOwed) {
		return nil, errHeld
	}
	if err != nil {
		return nil, c.orOwed(id, err)
	}
	return sent(to), nil
}

func (a *API) finishEmail(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	in, err := read[codeBody](c)
	if err != nil {
		return nil, err
	}
	err = a.gate.FinishEmail(c.r.Context(), &c.at, id, in.Code)
	if errors.Is(err, mfa.ErrNameTaken) {
		return nil, errTaken
	}
	return nil, c.orOwed(id, err)
}
