package api

import "github.com/secondgate/secondgate/mfa"

// newCodesDocument is a set of backup codes that waits to be saved.
type newCodesDocument struct {
	Codes []string `json:"codes"`
}

func (a *API) readCodes(c *call) (any, error) {
	account, err := c.look()
	if err != nil {
		return nil, err
	}
	return codesOf(account), nil
}

// makeCodes makes a set, or shows the one that waits already in this session. It is good,
// and the old one dead, once confirmCodes was called; from then on nobody can read it
// (AC-168).
func (a *API) makeCodes(c *call) (any, error) {
	id, err := c.started()
	if err != nil {
		return nil, err
	}
	codes, err := a.gate.BeginCodes(c.r.Context(), &c.at, id)
	if err != nil {
		return nil, c.orOwed(id, err)
	}
	return newCodesDocument{codes}, nil
}

func (a *API) confirmCodes(c *call) (any, error) {
	id, err := c.started()
	if err != nil {
		return nil, err
	}
	out, err := a.gate.ConfirmCodes(c.r.Context(), &c.at, id)
	if err != nil {
		return nil, c.orOwed(id, err)
	}
	if err := c.keep(out); err != nil {
		return nil, err
	}
	d := codesDocument{Offered: true}
	for _, h := range out.Subject.Held {
		if h.Kind == mfa.BackupCode {
			d.Left = h.Left
		}
	}
	return d, nil
}
