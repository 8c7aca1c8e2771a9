package moving

import (
	"encoding/base32"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// base32Secret reads a secret as apps take it: base32 in capitals or not, with or without
// padding, in groups or not.
func base32Secret(text string) (mfa.Secret, bool) {
	text = strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(text))
	data, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(data) == 0 {
		return nil, false
	}
	return data, true
}

// base64Bytes reads base64 of either alphabet, padded or not.
func base64Bytes(text string) ([]byte, bool) {
	text = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(text), "=")
	data, err := base64.RawURLEncoding.DecodeString(text)
	return data, err == nil && len(data) > 0
}

// otpauth reads otpauth://totp/ISSUER:NAME?secret=…, and says whose it is.
func otpauth(text string) (name string, app mfa.MovedApp, why string) {
	u, err := url.Parse(text) // its error would repeat the secret
	if err != nil || u.Scheme != "otpauth" {
		return "", app, "it is no otpauth address"
	}
	if u.Host != "totp" {
		return "", app, "it is of another kind than totp"
	}
	q := u.Query()
	name = strings.TrimPrefix(u.Path, "/")
	if rest, ok := strings.CutPrefix(name, q.Get("issuer")+":"); ok {
		name = rest
	} else if _, rest, ok := strings.Cut(name, ":"); ok {
		name = rest
	}
	app.Algorithm = q.Get("algorithm")
	var ok, okDigits, okPeriod bool
	app.Secret, ok = base32Secret(q.Get("secret"))
	app.Digits, okDigits = small(q.Get("digits"))
	app.Period, okPeriod = small(q.Get("period"))
	switch {
	case name == "":
		return "", app, "it does not say whose it is"
	case !ok:
		return "", app, "its secret is no base32"
	case !okDigits || !okPeriod:
		return "", app, "its digits or its period are no number"
	}
	return strings.TrimSpace(name), app, ""
}

// small reads a number of at most four digits; nothing is 0.
func small(text string) (int, bool) {
	if text == "" {
		return 0, true
	}
	if len(text) > 4 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}
