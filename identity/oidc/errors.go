package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/oauth2"

	"github.com/secondgate/secondgate/internal/outbound"
	"github.com/secondgate/secondgate/mfa"
)

// rejected is a proof that does not hold, with its cause for the log. What a provider or
// a browser has written is never in it.
func rejected(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{mfa.ErrRejected}, args...)...)
}

// plain returns what an error of the libraries may say: theirs repeat answers, in which
// there can be anything, and addresses.
func plain(err error) error {
	for _, known := range []error{outbound.ErrTooLong, outbound.ErrSpared, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, known) {
			return known
		}
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		if code := errorCode(e.ErrorCode); code != "" {
			return fmt.Errorf("the provider answers %s", code)
		}
		if e.Response != nil {
			return fmt.Errorf("the provider answers with status %d", e.Response.StatusCode)
		}
	}
	// go-oidc begins with the status: "404 Not Found: BODY".
	if m := statusLine.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("the provider answers with status %s", m[1])
	}
	return errors.New("the provider's answer cannot be read")
}

// fetching reports whether an error of a key set is one of fetching keys, by the words of
// go-oidc, which loses its kind; a test holds them.
func fetching(err error) bool { return strings.HasPrefix(err.Error(), "fetching keys ") }

// The codes of RFC 6749, RFC 6750 and OpenID Connect Core 1.0 are such words.
var (
	codeWord   = regexp.MustCompile(`^[a-z_]{1,40}$`)
	statusLine = regexp.MustCompile(`^([1-5][0-9][0-9]) [A-Z]`)
)

// errorCode returns an error code that may be shown, or "".
func errorCode(text string) string {
	if codeWord.MatchString(text) {
		return text
	}
	return ""
}

// over are codes with which a provider says that a person has to go through it again: a
// session there has ended, or something new is asked of them.
var over = []string{"invalid_grant", "interaction_required", "login_required", "consent_required", "account_selection_required"}
