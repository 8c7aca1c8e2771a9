package otpcode

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// instead are codes that would let no number in, and those that were meant: what
// people write, and territories whose mobile numbers are among those of another.
var instead = map[string]string{
	"EL": "GR", "UK": "GB",
	"AX": "FI", "BL": "GP", "CC": "AU", "CX": "AU", "EH": "MA", "MF": "GP", "SJ": "NO", "VA": "IT",
}

// ParseCountries reads a list of ISO 3166-1 alpha-2 codes, in upper or lower case,
// and returns it in upper case. It refuses what is no country with numbers of its
// own, and what stands twice. An empty list is one.
func ParseCountries(names []string) ([]string, error) {
	var list []string
	for _, name := range names {
		c := strings.ToUpper(name)
		if meant, ok := instead[c]; ok {
			return nil, fmt.Errorf("countries: for %q write %s, under which its mobile numbers are", name, meant)
		}
		// The length keeps out what only upper case makes a code, like a dotless i.
		if len(name) != 2 || phonenumbers.GetCountryCodeForRegion(c) == 0 {
			return nil, fmt.Errorf("countries: %q is no country with phone numbers; write its two letters of ISO 3166-1, for example: countries DE AT CH", name)
		}
		if slices.Contains(list, c) {
			return nil, fmt.Errorf("countries: %q stands twice; write it once", name)
		}
		list = append(list, c)
	}
	return list, nil
}
