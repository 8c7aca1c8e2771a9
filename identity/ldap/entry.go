package ldap

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// subject is the one text that stands for an entry's ID. A GUID of Active Directory is
// bytes, of which the first three groups are little-endian (MS-DTYP §2.3.4).
func (c *Config) subject(e *ldap.Entry) (string, error) {
	values := e.GetEqualFoldRawAttributeValues(c.Attributes.ID)
	if len(values) != 1 {
		return "", fmt.Errorf("the entry has %d values of %s; the service account must be allowed to read it, and it must be one", len(values), c.Attributes.ID)
	}
	raw := values[0]
	if c.binaryID() {
		if len(raw) != 16 {
			return "", fmt.Errorf("%s has %d bytes, and a GUID has 16", c.Attributes.ID, len(raw))
		}
		return guidText(raw), nil
	}
	id := string(raw)
	if !plausible(id) {
		return "", fmt.Errorf("%s is no text that could be an ID", c.Attributes.ID)
	}
	if uuidText.MatchString(id) {
		return strings.ToLower(id), nil
	}
	return id, nil
}

// binaryID reports whether the ID is a GUID as bytes.
func (c *Config) binaryID() bool { return strings.EqualFold(c.Attributes.ID, "objectGUID") }

// uuidID reports whether every ID is a UUID.
func (c *Config) uuidID() bool {
	return c.binaryID() || strings.EqualFold(c.Attributes.ID, "entryUUID") || strings.EqualFold(c.Attributes.ID, "ipaUniqueID")
}

var uuidText = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// guidOrder is where each byte of a GUID stands in its text.
var guidOrder = [16]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15}

func guidText(raw []byte) string {
	var b [16]byte
	for i, from := range guidOrder {
		b[i] = raw[from]
	}
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// idFilter finds the entry of a subject; ok is false where no entry can have that ID.
func (c *Config) idFilter(subject string) (filter string, ok bool) {
	if c.uuidID() && !uuidText.MatchString(subject) {
		return "", false
	}
	if !c.binaryID() {
		return "(" + c.Attributes.ID + "=" + ldap.EscapeFilter(subject) + ")", true
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(subject, "-", ""))
	if err != nil {
		return "", false
	}
	var b strings.Builder
	b.WriteString("(" + c.Attributes.ID + "=")
	for _, from := range guidOrder {
		fmt.Fprintf(&b, `\%02x`, raw[from])
	}
	b.WriteString(")")
	return b.String(), true
}

// disabling are the attributes by which directories say that an account is switched off.
// They are read whatever the schema: who lacks one is not.
var disabling = []string{"userAccountControl", "accountExpires", "nsAccountLock", "pwdAccountLockedTime", "krbPrincipalExpiration"}

// lockedForGood is the time that a password policy writes for a lock without an end
// (draft-behera-ldap-password-policy §5.3.3). Other times are locks after wrong passwords:
// whoever guesses at somebody's password must not end their sessions.
const lockedForGood = "000001010000Z"

// off reports whether the directory has switched the account off. What cannot be read
// counts as switched off.
func off(e *ldap.Entry, now time.Time) bool {
	value := func(name string) string { return e.GetEqualFoldAttributeValue(name) }
	if v := value("userAccountControl"); v != "" {
		if flags, err := strconv.ParseInt(v, 10, 64); err != nil || flags&2 != 0 { // ACCOUNTDISABLE
			return true
		}
	}
	if v := value("accountExpires"); v != "" && v != "0" {
		// Hundreds of nanoseconds since 1601 (MS-ADA1 §2.2).
		ticks, err := strconv.ParseInt(v, 10, 64)
		if err != nil || ticks != math.MaxInt64 && now.Unix() >= ticks/1e7-11644473600 {
			return true
		}
	}
	if v := value("krbPrincipalExpiration"); v != "" {
		if end, err := time.Parse("20060102150405Z", v); err != nil || !now.Before(end) {
			return true
		}
	}
	return strings.EqualFold(value("nsAccountLock"), "true") || strings.HasPrefix(value("pwdAccountLockedTime"), strings.TrimSuffix(lockedForGood, "Z"))
}

// email returns the entry's first address, where it can be one.
func (c *Config) email(e *ldap.Entry) string {
	v := e.GetEqualFoldAttributeValue(c.Attributes.Email)
	if len(v) > 254 || !strings.Contains(v, "@") || !oneLine(v) {
		return ""
	}
	return v
}

// text returns the first value of an attribute, where a page can show it.
func text(e *ldap.Entry, attribute string) string {
	v := e.GetEqualFoldAttributeValue(attribute)
	if len(v) > maxName || !oneLine(v) {
		return ""
	}
	return v
}

// maxName is how long a name may be, in bytes.
const maxName = 256

// plausible reports whether a text could be the name of somebody.
func plausible(name string) bool { return name != "" && len(name) <= maxName && oneLine(name) }

func oneLine(text string) bool {
	if !utf8.ValidString(text) {
		return false
	}
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return false
		}
	}
	return true
}

// group is one group by its name and where it is.
type group struct {
	name string
	dn   *ldap.DN
}

// readGroup reads the DN of a group; ok is false for what is none, or lies elsewhere than
// groups that count.
func readGroup(dn string, base *ldap.DN) (g group, ok bool) {
	parsed, err := ldap.ParseDN(dn)
	if err != nil || len(parsed.RDNs) == 0 || len(parsed.RDNs[0].Attributes) != 1 {
		return group{}, false
	}
	if base != nil && !base.AncestorOfFold(parsed) {
		return group{}, false
	}
	rdn := parsed.RDNs[0].Attributes[0]
	if !strings.EqualFold(rdn.Type, "cn") || !plausible(rdn.Value) {
		return group{}, false
	}
	return group{rdn.Value, parsed}, true
}

// allowed is one of the groups of which a person must be in one.
type allowed struct {
	name string
	dn   *ldap.DN // set where it is named by its DN
}

func readAllowed(names []string) (list []allowed, err error) {
	for _, name := range names {
		a := allowed{name: name}
		if strings.Contains(name, "=") {
			if a.dn, err = ldap.ParseDN(name); err != nil {
				return nil, errors.New("allowed_groups: one of them is no DN")
			}
		}
		list = append(list, a)
	}
	return list, nil
}

func (a allowed) is(g group) bool {
	if a.dn != nil {
		return a.dn.EqualFold(g.dn)
	}
	return strings.EqualFold(a.name, g.name)
}
