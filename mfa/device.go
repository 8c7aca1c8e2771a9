package mfa

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// A known device is a browser in which somebody has signed in fully before. It
// proves nothing: it only has tries of its own, so that a stranger who wears out an
// account's tries does not keep its owner from signing in (AC-097). The browser
// keeps a mark for each of the last few users, and nothing is stored here: a mark is
// a random name and a signature over it, the user and the user's generation, so that
// a new password or an administrator's reset ends the marks as it ends sessions.

const (
	// maxMarks is how many users one browser is known for.
	maxMarks = 4
	// deviceTries is how often a day a known device may fail before it counts like
	// any other browser.
	deviceTries = 10
	// allDevicesTries is how often all of a user's known devices may: whoever has the
	// password alone may collect marks where no second factor is owed yet.
	allDevicesTries = 3 * deviceTries
	markName        = 16 // bytes
)

// deviceMark returns a new mark of a browser for the user.
func (g *Gate) deviceMark(u holder) string {
	name := randomText(markName)
	return name + "." + g.signMark(u, name)
}

// holder is whose mark it is.
type holder struct {
	id         UserID
	generation int
}

func holderOf(u *User) holder { return holder{u.ID, u.Generation} }

func (g *Gate) signMark(u holder, name string) string {
	mac := hmac.New(sha256.New, g.cfg.NameKey())
	mac.Write([]byte("known device\x00" + string(u.id) + "\x00" + strconv.Itoa(u.generation) + "\x00" + name))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:markName])
}

// knownDevice returns the name of the mark that the browser has for the user, or "".
func (g *Gate) knownDevice(at *Place, u holder) string {
	if at == nil || u.id == "" || at.Devices == "" || len(at.Devices) > 512 {
		return ""
	}
	for mark := range strings.SplitSeq(at.Devices, "~") {
		name, signature, ok := strings.Cut(mark, ".")
		if ok && len(name) == base64.RawURLEncoding.EncodedLen(markName) && hmac.Equal([]byte(signature), []byte(g.signMark(u, name))) {
			return name
		}
	}
	return ""
}

// markDevice returns what the browser is to keep from now on, or "" where it has a
// mark for the user already.
func (g *Gate) markDevice(at *Place, u holder) string {
	if g.knownDevice(at, u) != "" {
		return ""
	}
	marks := []string{g.deviceMark(u)}
	if at.Devices != "" && len(at.Devices) <= 512 {
		for mark := range strings.SplitSeq(at.Devices, "~") {
			if len(marks) < maxMarks && plainMark(mark) {
				marks = append(marks, mark)
			}
		}
	}
	return strings.Join(marks, "~")
}

// plainMark reports whether the mark has the form of one: what came from a browser
// goes back into a cookie.
func plainMark(mark string) bool {
	size := base64.RawURLEncoding.EncodedLen(markName)
	if len(mark) != 2*size+1 || mark[size] != '.' {
		return false
	}
	for i := range len(mark) {
		switch c := mark[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', i == size:
		default:
			return false
		}
	}
	return true
}

// deviceCounters count the failures of a known device at one factor of one user, and
// those of all of the user's together.
func deviceCounters(u holder, device string, k Kind) reservation {
	return reservation{
		{key: "device:" + string(u.id) + ":" + device + ":" + string(k), window: 24 * time.Hour, budget: deviceTries},
		{key: "devices:" + string(u.id) + ":" + string(k), window: 24 * time.Hour, budget: allDevicesTries},
	}
}
