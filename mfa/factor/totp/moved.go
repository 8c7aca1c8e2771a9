package totp

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/pquerna/otp"

	"github.com/secondgate/secondgate/mfa"
)

// The first byte of a credential's data says what follows.
const (
	version      = 1 // a secret of 20 bytes; SHA-1, six digits, 30 seconds
	versionMoved = 2 // algorithm, digits, seconds (two bytes), and the secret
)

const headMoved = 5

// Bounds of what comes from other systems.
const (
	minSecret, goodSecret, maxSecret = 10, 16, 128 // bytes; RFC 4226 §4 R6 asks for 16
	minDigits, maxDigits             = 6, 8
	minPeriod, maxPeriod             = 15, 300 // seconds
)

// app is what the codes of one credential are computed of.
type app struct {
	secret    []byte
	algorithm otp.Algorithm
	digits    int
	period    int64
}

// read reads a credential's data. Every error is mfa.ErrRejected.
func read(data mfa.Secret) (app, error) {
	switch {
	case len(data) == 1+secretSize && data[0] == version:
		return app{data[1:], otp.AlgorithmSHA1, 6, 30}, nil
	case len(data) >= headMoved+minSecret && len(data) <= headMoved+maxSecret && data[0] == versionMoved:
		a := app{data[headMoved:], otp.Algorithm(data[1]), int(data[2]), int64(binary.BigEndian.Uint16(data[3:]))}
		if a.algorithm >= otp.AlgorithmSHA1 && a.algorithm <= otp.AlgorithmSHA512 && a.digits >= minDigits && a.digits <= maxDigits &&
			a.period >= minPeriod && a.period <= maxPeriod {
			return a, nil
		}
	}
	return app{}, fmt.Errorf("reading an authenticator app's secret: %w", mfa.ErrRejected)
}

var algorithms = map[string]otp.Algorithm{"": otp.AlgorithmSHA1, "SHA1": otp.AlgorithmSHA1, "SHA256": otp.AlgorithmSHA256, "SHA512": otp.AlgorithmSHA512}

// Adopt returns what a credential holds of an app that was set up at another system. Codes
// up to the next step count as used: one that was typed there a moment ago, before
// whoever looks over a shoulder or on a fake page, must not be good here as well (RFC 6238
// §5.2). The person waits for a minute at most.
func (*Factor) Adopt(in mfa.MovedApp, now time.Time) (data mfa.Secret, digits int, step int64, note string, err error) {
	algorithm, known := algorithms[strings.ToUpper(strings.ReplaceAll(in.Algorithm, "-", ""))]
	digits, period := in.Digits, in.Period
	if digits == 0 {
		digits = 6
	}
	if period == 0 {
		period = 30
	}
	why := ""
	switch {
	case !known:
		why = "its algorithm is none of SHA1, SHA256 and SHA512"
	case len(in.Secret) < minSecret:
		why = "its secret is shorter than 80 bits, which can be guessed"
	case len(in.Secret) > maxSecret:
		why = "its secret is longer than 128 bytes"
	case digits < minDigits:
		why = fmt.Sprintf("its codes have %d digits, which are guessed too easily", digits)
	case digits > maxDigits:
		why = fmt.Sprintf("its codes have %d digits, and no more than 8 are taken", digits)
	case period < minPeriod || period > maxPeriod:
		why = fmt.Sprintf("its codes change every %d seconds, and 15 to 300 are taken", period)
	}
	if why != "" {
		return nil, 0, 0, "", &mfa.MoveError{Why: why}
	}
	if len(in.Secret) < goodSecret {
		note = "its secret is shorter than the 128 bits of today; better set up again"
	}
	step = now.Unix()/int64(period) + skew
	if algorithm == otp.AlgorithmSHA1 && digits == 6 && period == 30 && len(in.Secret) == secretSize {
		return append(mfa.Secret{version}, in.Secret...), 0, step, note, nil
	}
	data = binary.BigEndian.AppendUint16(mfa.Secret{versionMoved, byte(algorithm), byte(digits)}, uint16(period))
	if digits == 6 {
		return append(data, in.Secret...), 0, step, note, nil
	}
	return append(data, in.Secret...), digits, step, note, nil
}
