package passkey

import (
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/secondgate/secondgate/mfa"
)

// BeginSignIn asks for any passkey that was made for this place's relying party.
// No credential is named, so that the answer tells a stranger nothing; whether a
// person is asked at once or in a form's autofill is up to the page.
func (f *Factor) BeginSignIn(at *mfa.Place) (options, st []byte, err error) {
	rp, err := f.relyingParty(at)
	if err != nil {
		return nil, nil, fmt.Errorf("beginning to sign in with a passkey: %w", err)
	}
	assertion, session, err := rp.BeginDiscoverableLogin(webauthn.WithLoginOrigin(at.Origin))
	if err != nil {
		return nil, nil, fmt.Errorf("beginning to sign in with a passkey: %w", err)
	}
	return f.begun(mfa.ForSignIn, at, "", assertion, session)
}

// FinishSignIn returns whose passkey signed, which it was, and its new Data. The
// ceremony was begun for nobody, so here alone the authenticator must name its
// user, and the credential must be one of that user's. Errors are those of
// FinishVerification.
//
// find is called at most once, with 1 to 64 bytes that a stranger chose, before
// anything is proven. Its errors come through, but for mfa.ErrNotFound, which is a
// rejection.
func (f *Factor) FinishSignIn(at *mfa.Place, st, answer []byte, find func(handle []byte) (*mfa.User, error)) (*mfa.User, mfa.CredentialID, mfa.Secret, error) {
	const doing = "signing in with a passkey"
	session, err := f.kept(mfa.ForSignIn, at, "", st, answer)
	if err != nil {
		return nil, "", nil, fmt.Errorf("%s: %w", doing, err)
	}
	rp, err := f.relyingParty(at)
	if err != nil {
		return nil, "", nil, fmt.Errorf("%s: %w", doing, err)
	}
	parsed, err := readAssertion(doing, at, answer)
	if err != nil {
		return nil, "", nil, err
	}
	u, err := owner(parsed.Response.UserHandle, find)
	if err != nil {
		return nil, "", nil, fmt.Errorf("%s: %w", doing, err)
	}
	p, err := newPerson(at, u)
	if err != nil {
		return nil, "", nil, fmt.Errorf("%s: %w", doing, err)
	}
	p.meet(parsed)
	// The library compares the handle with p's and looks for the credential among
	// those of p: dave's passkey under alice's handle is nobody's (AC-140).
	_, proven, err := rp.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return p, nil }, *session, parsed)
	if err != nil {
		return nil, "", nil, rejected(doing, err)
	}
	id, data, err := signed(doing, at, u, proven)
	if err != nil {
		return nil, "", nil, err
	}
	return u, id, data, nil
}

// owner returns the user of the handle.
func owner(handle []byte, find func([]byte) (*mfa.User, error)) (*mfa.User, error) {
	if len(handle) == 0 || len(handle) > maxHandle {
		return nil, fmt.Errorf("a user handle of %d bytes: %w", len(handle), mfa.ErrRejected)
	}
	u, err := find(handle)
	if errors.Is(err, mfa.ErrNotFound) {
		return nil, fmt.Errorf("nobody has that user handle: %w", mfa.ErrRejected)
	}
	if err != nil {
		return nil, fmt.Errorf("finding the user: %w", err)
	}
	return u, nil
}
