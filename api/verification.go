package api

import (
	"context"
	"encoding/json"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/mfa"
)

type (
	// verificationDocument says whether what the query asks for is met, and what the
	// person can prove it with.
	verificationDocument struct {
		Needed    string           `json:"needed"`
		Reason    mfa.Reason       `json:"reason,omitempty"`
		Next      string           `json:"next,omitempty"`
		Factors   []mfa.Kind       `json:"factors,omitempty"`
		Proven    []provenDocument `json:"proven"`
		Methods   []methodDocument `json:"methods"`
		Preferred mfa.Kind         `json:"preferred,omitempty"`
	}
	provenDocument struct {
		Factor mfa.Kind   `json:"factor"`
		At     *time.Time `json:"at"`
	}
	methodDocument struct {
		Factor     mfa.Kind         `json:"factor"`
		Available  bool             `json:"available"`
		Why        mfa.Reason       `json:"why,omitempty"`
		Host       string           `json:"host,omitempty"`
		RetryAfter int              `json:"retry_after,omitempty"`
		ID         mfa.CredentialID `json:"id,omitempty"`
		Masked     string           `json:"masked,omitempty"`
		Left       int              `json:"left,omitempty"`
	}
)

// neededNothing is verificationDocument.Needed where the person goes on; otherwise it is
// the action's own name.
const neededNothing = "nothing"

// readAsked reads what the app asks for out of the query. It can make a verification ask
// more, never less.
func (c *call) readAsked() error {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return errQuery
	}
	var need mfa.Requirement
	for name, values := range q {
		if len(values) != 1 {
			return errQuery
		}
		switch name {
		case "max_age":
			seconds, err := strconv.Atoi(values[0])
			if err != nil || seconds < int(mfa.MinFresh/time.Second) || seconds > 366*24*3600 {
				return errQuery
			}
			need.Fresh = time.Duration(seconds) * time.Second
		case "factors":
			if need.Factors, err = mfa.ParseKinds(strings.Fields(values[0])); err != nil {
				return errQuery
			}
		case "phishing_resistant":
			if need.PhishingResistant, err = strconv.ParseBool(values[0]); err != nil {
				return errQuery
			}
		default:
			return errQuery
		}
	}
	need.Required = need.Required || !need.Zero()
	c.at.Asked = need
	return nil
}

// verifier is id for a request of a verification.
func (c *call) verifier() (mfa.SessionID, error) {
	if err := c.readAsked(); err != nil {
		return "", err
	}
	return c.id()
}

func (a *API) readVerification(c *call) (any, error) {
	id, err := c.verifier()
	if err != nil {
		return nil, err
	}
	return c.verification(id)
}

func (c *call) verification(id mfa.SessionID) (any, error) {
	st, err := c.api.gate.State(c.r.Context(), &c.at, id)
	if err != nil {
		return nil, err
	}
	d := verificationDocument{Needed: neededNothing, Proven: []provenDocument{}, Methods: []methodDocument{}, Preferred: st.Preferred}
	if st.Decision.Action != mfa.Allow {
		d.Needed, d.Reason, d.Factors = st.Decision.Action.String(), st.Decision.Reason, st.Decision.Kinds.List()
		if st.Decision.Action != mfa.Refuse {
			d.Next = guard.Next(st.Decision, "")
		}
	}
	for _, p := range st.Session.Proofs {
		if !p.Remembered { // a browser proves nothing now
			d.Proven = append(d.Proven, provenDocument{p.Kind, stamp(p.At)})
		}
	}
	slices.SortStableFunc(d.Proven, func(a, b provenDocument) int { return b.At.Compare(*a.At) })
	for _, m := range st.Methods {
		d.Methods = append(d.Methods, methodDocument{
			Factor: m.Kind, Available: m.Available, Why: m.Why, Host: m.Hint, RetryAfter: int(math.Ceil(m.Wait.Seconds())),
			ID: m.Credential, Masked: m.Address, Left: m.Left,
		})
	}
	return d, nil
}

// verified writes the cookies of a verification and says what holds now.
func (c *call) verified(out *mfa.Outcome) (any, error) {
	if err := c.keep(out); err != nil {
		return nil, err
	}
	return c.verification(out.Session.ID)
}

// trial is a step that takes a code.
type trial func(g Gate, ctx context.Context, at *mfa.Place, id mfa.SessionID, code string) (*mfa.Outcome, error)

func verifySent(k mfa.Kind) trial {
	return func(g Gate, ctx context.Context, at *mfa.Place, id mfa.SessionID, code string) (*mfa.Outcome, error) {
		return g.VerifySent(ctx, at, id, k, code)
	}
}

func (a *API) verifyCode(try trial) handler {
	return func(c *call) (any, error) {
		id, err := c.verifier()
		if err != nil {
			return nil, err
		}
		in, err := read[codeBody](c)
		if err != nil {
			return nil, err
		}
		out, err := try(a.gate, c.r.Context(), &c.at, id, in.Code)
		if err != nil {
			return nil, err
		}
		return c.verified(out)
	}
}

// sendCode sends a code to one of the person's addresses, or says that one is on its way.
func (a *API) sendCode(c *call) (any, error) {
	id, err := c.verifier()
	if err != nil {
		return nil, err
	}
	in, err := read[struct {
		Factor mfa.Kind         `json:"factor"`
		ID     mfa.CredentialID `json:"id,omitempty"`
		Again  bool             `json:"again,omitempty"`
	}](c)
	if err != nil {
		return nil, err
	}
	if in.Factor != mfa.Email && in.Factor != mfa.SMS {
		return nil, &fieldError{"factor", "body"}
	}
	to, err := a.gate.SendCode(c.r.Context(), &c.at, id, in.Factor, in.ID, in.Again)
	if err != nil {
		return nil, err
	}
	return sent(to), nil
}

func (a *API) beginVerifyPasskey(c *call) (any, error) {
	id, err := c.verifier()
	if err == nil {
		_, err = read[nothing](c)
	}
	if err != nil {
		return nil, err
	}
	begun, err := a.gate.BeginVerifyPasskey(c.r.Context(), &c.at, id)
	if err != nil {
		return nil, err
	}
	return ceremony(begun)
}

func (a *API) finishVerifyPasskey(c *call) (any, error) {
	id, err := c.verifier()
	if err != nil {
		return nil, err
	}
	in, err := read[struct {
		ID     string          `json:"id"`
		Answer json.RawMessage `json:"answer"`
	}](c)
	if err != nil {
		return nil, err
	}
	out, err := a.gate.FinishVerifyPasskey(c.r.Context(), &c.at, id, in.ID, in.Answer)
	if err != nil {
		return nil, err
	}
	return c.verified(out)
}
