package otpcode

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"

	"github.com/secondgate/secondgate/mfa"
)

// Numbers and what becomes of them; a want of "+…" is the spelling that is kept.
const (
	name    = "no number"
	country = "no text message"
)

func checkNumber(t *testing.T, f *Factor, entered, want string) {
	t.Helper()
	got, err := f.Address(mfa.SMS, entered)
	switch want {
	case name:
		if !errors.Is(err, mfa.ErrName) || got != "" {
			t.Errorf("Address(%q) = %q, %v; want %v", entered, got, err, mfa.ErrName)
		}
	case country:
		if !errors.Is(err, mfa.ErrCountry) || got != "" {
			t.Errorf("Address(%q) = %q, %v; want %v", entered, got, err, mfa.ErrCountry)
		}
	default:
		if err != nil || got != want {
			t.Errorf("Address(%q) = %q, %v; want %q", entered, got, err, want)
		}
	}
}

// One number has one spelling, or a limit per number would be one per spelling.
func TestFactor_Address_Spellings(t *testing.T) {
	one := newFactor(t, "de")
	several := newFactor(t, "DE", "at", "Ch")
	const kept = "+4915112345678"
	for _, tc := range []struct{ name, entered, want, wantOfSeveral string }{
		{"E.164", "+4915112345678", kept, kept},
		{"in groups", "+49 151 123 456 78", kept, kept},
		{"no-break spaces", "+49\u00a0151\u202f12345678", kept, kept},
		{"dashes", "+49-151-1234\u20115678", kept, kept},
		{"slash", "+49151/12345678", kept, kept},
		{"trunk prefix in brackets", "+49 (0)151 12345678", kept, kept},
		{"calling code in brackets", "(+49) 151 12345678", kept, kept},
		{"copied from a phone book", "\u202a+49 151 12345678\u202c", kept, kept},
		{"white space around", "\t+4915112345678\n", kept, kept},
		{"international prefix", "0049 151 12345678", kept, kept},
		{"national", "0151 12345678", kept, name},
		{"national without its prefix", "151 12345678", kept, name},
		{"international prefix and trunk prefix", "0049 (0) 151 12345678", kept, kept},
		{"no plus: a landline of the place 04915", "49 151 12345678", country, name},
		{"two pluses", "++4915112345678", name, name},
		{"plus in the middle", "49+15112345678", name, name},
		{"extension", "+4915112345678 ext. 5", name, name},
		{"extension with an x", "+4915112345678x5", name, name},
		{"extension with a hash", "+4915112345678#5", name, name},
		{"extension as a URI has it", "+4915112345678;ext=5", name, name},
		{"pause", "+4915112345678,5", name, name},
		{"URI", "tel:+4915112345678", name, name},
		{"phone context", "15112345678;phone-context=+49", name, name},
		{"keypad letters", "+49151CALLMENOW", name, name},
		{"full-width digits", "+49\uff11\uff15\uff11 12345678", name, name},
		{"full-width plus", "\uff0b4915112345678", name, name},
		{"Arabic digits", "+49\u0661\u0665\u0661 1234567", name, name},
		{"invalid UTF-8", "+4915112345678\xff", name, name},
		{"NUL", "+4915112345678\x00", name, name},
		{"empty", "", name, name},
		{"spaces", "   ", name, name},
		{"a plus", "+", name, name},
		{"a word", "hello", name, name},
		{"too short", "+4915112", name, name},
		{"too long", "+49151123456789012", name, name},
		{"32 bytes", "+4915112345678                  ", kept, kept},
		{"33 bytes", "+4915112345678                   ", name, name},
		{"zeros", "00000000000000000000000000000000", name, country},
		{"megabytes", "+49151" + strings.Repeat("1", 1<<22), name, name},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkNumber(t, one, tc.entered, tc.want)
			checkNumber(t, several, tc.entered, tc.wantOfSeveral)
		})
	}
}

// AC-171: whoever can have text messages sent, has them sent to a number that pays
// them for each: premium and shared-cost numbers, satellite phones, and islands that
// share the calling code of a big country.
func TestFactor_Address_AC171_RejectsTollFraud(t *testing.T) {
	for _, tc := range []struct {
		name      string
		countries string
		entered   string
		want      string
	}{
		{"mobile", "DE", "+4915112345678", "+4915112345678"},
		{"landline", "DE", "+493012345678", country},
		{"premium", "DE", "+499001123456", country},
		{"shared cost", "DE", "+4918012345", country},
		{"toll free", "DE", "+498001234567", country},
		{"pager", "DE", "+4916412345", country},
		{"personal number", "DE", "+4970012345678", country},
		{"voice over IP", "DE", "+4932123456789", country},
		{"emergency", "DE", "110", name},
		{"emergency with a calling code", "DE", "+49112", name},
		{"another country", "DE", "+436641234567", country},
		{"another country, as dialled here", "DE", "0043 664 1234567", country},
		{"no country", "DE", "+999123456789", country},
		{"Iridium", "DE", "+881612345678", country},
		{"Inmarsat", "DE", "+870773123456", country},
		{"international networks", "DE", "+883510012345678", country},
		{"universal toll free", "DE", "+80012345678", country},
		{"universal premium", "DE", "+979123456789", country},

		{"US", "US", "+12025550123", "+12025550123"},
		{"US, national", "US", "(202) 555-0123", "+12025550123"},
		{"US, with 1", "US", "1 202 555 0123", "+12025550123"},
		{"US, premium", "US", "+19005550123", country},
		{"US, toll free", "US", "+18005550123", country},
		{"US, follow-me numbers", "US", "+15005550006", country},
		{"US, unassigned area", "US", "+19995550123", name},
		{"US, emergency", "US", "911", name},
		{"Jamaica is not the US", "US", "+18765550123", country},
		{"Dominican Republic is not the US", "US", "(809) 555-0123", country},
		{"Puerto Rico is not the US", "US", "+17875550123", country},
		{"Canada is not the US", "US", "+16135550123", country},
		{"US, from abroad", "US", "011 49 151 12345678", country},
		{"US and Canada share a plan", "US CA", "613-555-0123", "+16135550123"},
		{"and so do others", "CA US", "(809) 555-0123", country},
		{"Jamaica alone", "JM", "+18765550123", "+18765550123"},
		{"the US is not Jamaica", "JM", "+12025550123", country},

		{"UK", "GB", "07400 123456", "+447400123456"},
		{"UK, trunk prefix in brackets", "GB", "+44 (0)7400 123456", "+447400123456"},
		{"UK, landline", "GB", "+442070313000", country},
		{"UK, personal number", "GB", "+447012345678", country},
		{"UK, pager", "GB", "+447640123456", country},
		{"UK, premium", "GB", "+449098765432", country},
		{"UK, corporate", "GB", "+445512345678", country},
		{"Jersey is not the UK", "GB", "+447797712345", country},
		{"Jersey, national", "GB", "07797 712345", country},
		{"Guernsey is not the UK", "GB", "+447781123456", country},
		{"the Isle of Man is not the UK", "GB", "+447624123456", country},
		{"the islands, where they are meant", "GB JE GG IM", "07797 712345", "+447797712345"},

		{"Russia", "RU", "8 916 123-45-67", "+79161234567"},
		{"Kazakhstan is not Russia", "RU", "+77012345678", country},
		{"Russia is not Kazakhstan", "KZ", "+79161234567", country},
		{"Réunion", "RE", "+262692123456", "+262692123456"},
		{"Mayotte is not Réunion", "RE", "+262639012345", country},
		{"Réunion is not Mayotte", "YT", "+262692123456", country},
		{"Réunion is not France", "FR", "+262692123456", country},
		{"Guadeloupe", "GP", "+590690001234", "+590690001234"},
		{"Guadeloupe is not France", "FR", "0690 00 12 34", name},
		{"Guadeloupe is not France, from abroad", "FR", "00590 690 00 12 34", country},
		{"Kosovo", "XK", "+38343201234", "+38343201234"},
		{"Australia", "AU", "0412 345 678", "+61412345678"},
		{"Australia, satellite", "AU", "+61147123456", country},
		{"Argentina, as dialled there", "AR", "011 15-2345-6789", "+5491123456789"},
		{"Argentina, without its 9 a landline", "AR", "+541123456789", country},
		{"Italy", "IT", "312 345 6789", "+393123456789"},
		{"Italy, landline", "IT", "+390612345678", country},

		{"text messages off", "", "+4915112345678", country},
		{"text messages off, national", "", "0151 12345678", country},
		{"text messages off, no number", "", "hello", name},
	} {
		t.Run(tc.name, func(t *testing.T) {
			checkNumber(t, newFactor(t, strings.Fields(tc.countries)...), tc.entered, tc.want)
		})
	}
}

// Every country that can be named has numbers to which messages go, from the example
// that the library has for it, and no other country's list lets them in.
func TestFactor_Address_EveryCountry(t *testing.T) {
	elsewhere := map[bool]*Factor{true: newFactor(t, "FR"), false: newFactor(t, "DE")}
	for region := range phonenumbers.GetSupportedRegions() {
		if _, refused := instead[region]; refused {
			continue
		}
		example := phonenumbers.GetExampleNumberForType(region, phonenumbers.MOBILE)
		if example == nil || region == "IM" { // the example of the Isle of Man is a number of the UK
			continue
		}
		want := phonenumbers.Format(example, phonenumbers.E164)
		f := newFactor(t, region)
		checkNumber(t, f, want, want)
		checkNumber(t, f, phonenumbers.Format(example, phonenumbers.INTERNATIONAL), want)
		if region != "AR" { // whose national form the library writes, but does not read
			checkNumber(t, f, phonenumbers.Format(example, phonenumbers.NATIONAL), want)
		}
		checkNumber(t, elsewhere[region == "DE"], want, country)
	}
}

// A newer library may move numbers from one country to another.
func TestInstead_NamesWhoHasTheNumbers(t *testing.T) {
	for region := range phonenumbers.GetSupportedRegions() {
		example := phonenumbers.GetExampleNumberForType(region, phonenumbers.MOBILE)
		if example == nil || region == "IM" { // 07624 is its own
			continue
		}
		has := phonenumbers.GetRegionCodeForNumber(example)
		if meant := instead[region]; meant != "" && meant != has || meant == "" && has != region {
			t.Errorf("numbers of %s are %s's, and who names it is told %q", region, has, meant)
		}
	}
	for _, meant := range instead {
		if _, err := ParseCountries([]string{meant}); err != nil {
			t.Errorf("what is to be written instead: %v", err)
		}
	}
}

func TestParseCountries(t *testing.T) {
	for _, tc := range []struct {
		name  string
		names []string
		want  []string
		err   string // what the error has to say
	}{
		{"none", nil, nil, ""},
		{"as the standard writes them", []string{"DE", "AT"}, []string{"DE", "AT"}, ""},
		{"lower case", []string{"de", "aT"}, []string{"DE", "AT"}, ""},
		{"Kosovo", []string{"XK"}, []string{"XK"}, ""},
		{"twice", []string{"DE", "AT", "de"}, nil, "write it once"},
		{"a name", []string{"Germany"}, nil, "DE AT CH"},
		{"three letters", []string{"DEU"}, nil, "DE AT CH"},
		{"a calling code", []string{"49"}, nil, "DE AT CH"},
		{"with a plus", []string{"+49"}, nil, "DE AT CH"},
		{"empty", []string{""}, nil, "DE AT CH"},
		{"space", []string{" DE"}, nil, "DE AT CH"},
		{"all", []string{"*"}, nil, "DE AT CH"},
		{"no country", []string{"ZZ"}, nil, "DE AT CH"},
		{"the world", []string{"001"}, nil, "DE AT CH"},
		{"Antarctica has no numbers", []string{"AQ"}, nil, "DE AT CH"},
		{"upper case makes it one", []string{"\u0131t"}, nil, "DE AT CH"},
		{"UK", []string{"uk"}, nil, "write GB"},
		{"Greece", []string{"EL"}, nil, "write GR"},
		{"Åland", []string{"AX"}, nil, "write FI"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParseCountries(tc.names)
			if tc.err == "" && (err != nil || !slices.Equal(got, tc.want)) {
				t.Errorf("ParseCountries = %q, %v; want %q", got, err, tc.want)
			}
			if tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err) || got != nil) {
				t.Errorf("ParseCountries = %q, %v; want an error with %q", got, err, tc.err)
			}
			if f, err := New(Config{Countries: tc.names}); (err == nil) != (tc.err == "") || err != nil && f != nil {
				t.Errorf("New: %v", err)
			}
		})
	}
}

func TestFactor_Display(t *testing.T) {
	f := newFactor(t)
	for _, tc := range []struct {
		channel       mfa.Kind
		address, want string
	}{
		{mfa.SMS, "+4930123456", "+49 30 123456"},
		{mfa.SMS, "+4915112345678", "+49 1511 2345678"},
		{mfa.SMS, "+12025550123", "+1 202 555 0123"},
		{mfa.SMS, "+687751234", "+687 75 12 34"},
		{mfa.SMS, "+447400123456", "+44 7400 123456"},
		{mfa.SMS, "", ""},
		{mfa.SMS, "+", "+"},
		{mfa.SMS, "0151 12345678", "0151 12345678"},
		{mfa.SMS, "+999123", "+999123"},
		{mfa.SMS, "alice@example.com", "alice@example.com"},
		{mfa.Email, "alice@example.com", "alice@example.com"},
		{mfa.Email, "+4930123456", "+4930123456"},
	} {
		if got := f.Display(tc.channel, tc.address); got != tc.want {
			t.Errorf("Display(%s, %q) = %q, want %q", tc.channel, tc.address, got, tc.want)
		}
	}
}

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

func FuzzAddress_Number(f *testing.F) {
	for _, s := range []string{
		"+49 (0)151 12345678", "0151 12345678", "0049 151 12345678", "+12025550123", "(809) 555-0123", "07797 712345",
		"8 916 123-45-67", "+590690001234", "011 15-2345-6789", "+881612345678", "110", "+", "",
	} {
		f.Add(s)
	}
	factors := []*Factor{
		newFactor(f), newFactor(f, "DE"), newFactor(f, "US"), newFactor(f, "AR"), newFactor(f, "RU", "KZ"),
		newFactor(f, "DE", "AT", "GB", "US", "IT", "BR", "MX", "GP", "RE", "CN", "JP", "KZ"),
	}
	f.Fuzz(func(t *testing.T, entered string) {
		for _, factor := range factors {
			got, err := factor.Address(mfa.SMS, entered)
			if err != nil {
				if got != "" || !errors.Is(err, mfa.ErrName) && !errors.Is(err, mfa.ErrCountry) {
					t.Errorf("Address(%q) = %q, %v", entered, got, err)
				}
				continue
			}
			if !e164.MatchString(got) || len(entered) > maxNumber {
				t.Errorf("%q is kept as %q", entered, got)
			}
			if again, err := factor.Address(mfa.SMS, got); err != nil || again != got {
				t.Errorf("%q is kept as %q, and that as %q, %v", entered, got, again, err)
			}
			shown := factor.Display(mfa.SMS, got)
			if again, err := factor.Address(mfa.SMS, shown); err != nil || again != got {
				t.Errorf("%q is shown as %q, and that kept as %q, %v", got, shown, again, err)
			}
		}
	})
}

func BenchmarkFactor_Address(b *testing.B) {
	f := newFactor(b, "DE", "US")
	for b.Loop() {
		if _, err := f.Address(mfa.SMS, "+1 202 555 0123"); err != nil {
			b.Fatal(err)
		}
	}
}
