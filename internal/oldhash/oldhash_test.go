package oldhash

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
)

const password = "a walrus eats 9 kites"

// Each was made by another program than the one that checks it here: by htpasswd and
// "openssl passwd", and by Python's hashlib, put together as Authelia's documents say.
var made = map[string]string{
	"bcrypt $2y$":     "$2y$10$E8QW9/23hGfJLCb4F7bm3ONRB5/KMINHkJ7xNqxS0iyRT8VZ6ZrXG",
	"bcrypt $2a$":     "$2a$10$E8QW9/23hGfJLCb4F7bm3ONRB5/KMINHkJ7xNqxS0iyRT8VZ6ZrXG",
	"bcrypt $2b$":     "$2b$10$E8QW9/23hGfJLCb4F7bm3ONRB5/KMINHkJ7xNqxS0iyRT8VZ6ZrXG",
	"bcrypt 5":        "$2y$05$HfPtaJ4edC3ITHHyIy3jy.VDjFtm1vU2CxLdGfn2jA1PalaUE21A2",
	"SHA-512 crypt":   "$6$saltstring123456$EbL0YIdpM8l5T9BXEKpiC8G72ujh6a9p5dGNjWS9OB2AJbGLWgmpfbh8YV3OqNGFTAcQhD0t9UmfGdtYYTEwG/",
	"in {CRYPT}":      "{CRYPT}$6$saltstring123456$EbL0YIdpM8l5T9BXEKpiC8G72ujh6a9p5dGNjWS9OB2AJbGLWgmpfbh8YV3OqNGFTAcQhD0t9UmfGdtYYTEwG/",
	"SHA-256 crypt":   "$5$saltstring123456$uKlrdSopESrDchY3Lj0glpT3Fu5vnPzuIbufCuvO.w6",
	"PBKDF2, SHA-1":   "$pbkdf2$20000$AAECAwQFBgcICQoLDA0ODw$A82Rp.xEfYlKNHSY3KexSvL94Qc",
	"PBKDF2, SHA-256": "$pbkdf2-sha256$20000$AAECAwQFBgcICQoLDA0ODw$/4tT6m1GJW.f3lig/6jOQUfxA8Vu4omri7hgLcpXLHA",
	"PBKDF2, SHA-512": "$pbkdf2-sha512$310000$AAECAwQFBgcICQoLDA0ODw$Twbb16pVyBhfptwS/x.y2luxeXi3YfohV98U1Z65ctwEr6h4gCj3YFrHmaeKYbe6y4Mkg14unVFnxTDZ1WLqWw",
	"scrypt":          "$scrypt$ln=14,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$PoPHO3lLOYQoFY68xnUrDJ7/l8npbJWW37HTHdnNDwA",
	"Argon2id":        argon2Text("argon2id", argon2.IDKey, 8<<10, 1, 1, 32),
	"Argon2id, 64":    argon2Text("argon2id", argon2.IDKey, 64<<10, 3, 4, 64),
	"Argon2i":         argon2Text("argon2i", argon2.Key, 8<<10, 3, 1, 32),
}

func argon2Text(name string, key func(password, salt []byte, time, memory uint32, threads uint8, size uint32) []byte, m, t uint32, p uint8, size uint32) string {
	salt := []byte("sixteen bytes it")
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$%s$v=19$m=%d,t=%d,p=%d$%s$%s", name, m, t, p, b64(salt), b64(key([]byte(password), salt, t, m, p, size)))
}

func TestHash_Matches(t *testing.T) {
	for name, text := range made {
		t.Run(name, func(t *testing.T) {
			h, err := Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			if !h.Matches([]byte(password)) {
				t.Error("the right password does not match")
			}
			for _, wrong := range []string{password + " ", "", "a walrus eats 9 kite", strings.ToUpper(password)} {
				if h.Matches([]byte(wrong)) {
					t.Errorf("%q matches", wrong)
				}
			}
			if h.Name() == "" {
				t.Error("it has no name")
			}
		})
	}
	// The example of passlib's documentation, of the password "password".
	if h, err := Parse("$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2"); err != nil || !h.Matches([]byte("password")) || h.Matches([]byte("passwort")) {
		t.Errorf("bcrypt-sha256: %v", err)
	}
	if (Hash{}).Matches([]byte(password)) {
		t.Error("the zero value matches")
	}
}

// AC-208: SHA-2 crypt hashes the password anew in each round. Whoever types a thousand
// letters at the account with the most rounds must not hold a slot for ten seconds.
func TestHash_Matches_AC208_BoundsLongPasswords(t *testing.T) {
	longest := strings.Repeat("x", 1024)
	h, err := Parse(strings.Replace(made["SHA-512 crypt"], "$6$", "$6$rounds=1000000$", 1))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if h.Matches([]byte(longest)) {
		t.Error("it matches")
	}
	if took := time.Since(began); took > 100*time.Millisecond {
		t.Errorf("it was computed: %v", took)
	}
	// What crypt makes of 500 letters: with few rounds they are computed.
	h, err = Parse("$6$saltstring123456$H6KjNoG2zlY03Bo1BF7R0pMWThCfs2v36o338tewGIOnh9YGpEaJ64yY0VLi2SbxEUdR9dv9luq3yUlTRiCuj.")
	if err != nil || !h.Matches([]byte(longest[:500])) {
		t.Errorf("5000 rounds: %v", err)
	}
}

// AC-208: whoever can write the file that is imported, or the store, must not make each
// try at a password take the machine's memory or a minute of it. Nothing is computed, so
// that it is known at once.
func TestParse_AC208_RefusesCosts(t *testing.T) {
	salt, key := "AAECAwQFBgcICQoLDA0ODw", "PoPHO3lLOYQoFY68xnUrDJ7/l8npbJWW37HTHdnNDwA"
	began := time.Now()
	for name, text := range map[string]string{
		"bcrypt 16":               strings.Replace(made["bcrypt $2y$"], "$10$", "$16$", 1),
		"bcrypt 31":               strings.Replace(made["bcrypt $2y$"], "$10$", "$31$", 1),
		"bcrypt 03":               strings.Replace(made["bcrypt $2y$"], "$10$", "$03$", 1),
		"bcrypt +9":               strings.Replace(made["bcrypt $2y$"], "$10$", "$+9$", 1),
		"bcrypt $2x$":             strings.Replace(made["bcrypt $2y$"], "$2y$", "$2x$", 1),
		"bcrypt-sha256 16":        "$bcrypt-sha256$v=2,t=2b,r=16$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2",
		"SHA-512 crypt 999999999": strings.Replace(made["SHA-512 crypt"], "$6$", "$6$rounds=999999999$", 1),
		"SHA-512 crypt 1000001":   strings.Replace(made["SHA-512 crypt"], "$6$", "$6$rounds=1000001$", 1),
		"SHA-512 crypt 0":         strings.Replace(made["SHA-512 crypt"], "$6$", "$6$rounds=0$", 1),
		"SHA-512 crypt no digits": strings.Replace(made["SHA-512 crypt"], "$6$", "$6$rounds=$", 1),
		"SHA-512 crypt overflow":  strings.Replace(made["SHA-512 crypt"], "$6$", "$6$rounds=18446744073709551617$", 1),
		"PBKDF2 100000000":        strings.Replace(made["PBKDF2, SHA-512"], "$310000$", "$100000000$", 1),
		"PBKDF2 1":                strings.Replace(made["PBKDF2, SHA-512"], "$310000$", "$1$", 1),
		"PBKDF2 -1":               strings.Replace(made["PBKDF2, SHA-512"], "$310000$", "$-1$", 1),
		"PBKDF2 long key":         "$pbkdf2$1000$" + salt + "$" + strings.Repeat("A", 300),
		"scrypt 2^17":             "$scrypt$ln=17,r=8,p=1$" + salt + "$" + key,
		"scrypt 2^63":             "$scrypt$ln=63,r=8,p=1$" + salt + "$" + key,
		"scrypt r":                "$scrypt$ln=14,r=900000000,p=1$" + salt + "$" + key,
		"scrypt p":                "$scrypt$ln=14,r=8,p=900$" + salt + "$" + key,
		"scrypt p=0":              "$scrypt$ln=14,r=8,p=0$" + salt + "$" + key,
		"scrypt twice":            "$scrypt$ln=14,ln=30,r=8,p=1$" + salt + "$" + key,
		"Argon2id 1 GiB":          strings.Replace(made["Argon2id"], "m=8192", "m=1048576", 1),
		"Argon2id 4 TiB":          strings.Replace(made["Argon2id"], "m=8192", "m=4294967295", 1),
		"Argon2id t=11":           strings.Replace(made["Argon2id"], "t=1", "t=11", 1),
		"Argon2id t=0":            strings.Replace(made["Argon2id"], "t=1", "t=0", 1),
		"Argon2id p=255":          strings.Replace(made["Argon2id"], "p=1", "p=255", 1),
		"Argon2id without m":      strings.Replace(made["Argon2id"], "m=8192,", "", 1),
		"Argon2id twice":          strings.Replace(made["Argon2id"], "m=8192,", "m=8192,m=4194304,", 1),
		"Argon2id of 2015":        strings.Replace(made["Argon2id"], "$v=19", "$v=16", 1),
	} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("refusing took %s: something was computed", took)
	}
}

// What protects nothing is not taken: who has the file has the passwords.
func TestParse_RefusesWeakHashes(t *testing.T) {
	for name, text := range map[string]string{
		"apr1":     "$apr1$uqdDE3sw$qEVGPJzVxn8haBki0gnIb1",
		"md5crypt": "$1$uqdDE3sw$qEVGPJzVxn8haBki0gnIb1",
		"SHA-1":    "{SHA}gdVMqxiiEa8+jvxSwLKpPP5KcJY=",
		"crypt":    "2Q7voJDf3Y9uM",
		"plain":    "a walrus eats 9 kites",
		"marked":   "$plaintext$a walrus eats 9 kites",
		"base64":   "$base64$YSB3YWxydXM",
		"yescrypt": "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
		"none":     "",
		"unknown":  "$foo$bar$baz",
		"control":  made["bcrypt $2y$"] + "\n",
		"long":     strings.Repeat("$6$", 1000),
	} {
		_, err := Parse(text)
		var why *RefusedError
		if !errors.As(err, &why) || len(text) > 8 && strings.Contains(err.Error(), text[3:]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever is read, nothing of it is in an error, it does not panic, and what is taken
// ends soon.
func FuzzParse(f *testing.F) {
	for _, text := range made {
		f.Add(text)
	}
	f.Add("$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := Parse(text)
		if err != nil && h.digest != nil || err == nil && h.digest == nil {
			t.Errorf("%v with %v", h, err)
		}
	})
}
