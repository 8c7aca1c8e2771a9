package quote

import (
	"regexp"
	"strings"
	"unicode"
)

const (
	maxText = 160 // runes of a whole remark
	maxWord = 32  // a word that is longer is a token more likely than a word
	dots    = "…"
)

// number is what may be a code or a phone number, however it is set: six digits or
// more, with signs and spaces between them.
var number = regexp.MustCompile(`[+(]?\d(?:[\d \t().-]*\d)?`)

// Words returns text on one line, cut to a readable length, with whatever may
// identify a person or open a door replaced by dots: addresses, links, numbers
// with six digits or more, long tokens, and each word that holds one of secrets,
// in whatever case.
func Words(text string, secrets ...string) string {
	text = strings.Join(fields(strings.ToValidUTF8(text, "")), " ")
	for _, s := range secrets {
		if s != "" { // a secret may have spaces in it
			text = strings.ReplaceAll(text, s, dots)
		}
	}
	text = number.ReplaceAllStringFunc(text, func(s string) string {
		if digits(s) >= 6 {
			return dots
		}
		return s
	})
	words := fields(text)
	for i, word := range words {
		if tells(word, secrets) {
			words[i] = dots
		}
	}
	runes := []rune(strings.Join(words, " "))
	if len(runes) > maxText {
		return string(runes[:maxText]) + dots
	}
	return string(runes)
}

func fields(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

func tells(word string, secrets []string) bool {
	if len(word) > maxWord || strings.Contains(word, "@") || strings.Contains(word, "://") {
		return true
	}
	word = strings.ToLower(word)
	for _, s := range secrets {
		if s != "" && strings.Contains(word, strings.ToLower(s)) {
			return true
		}
	}
	return false
}

func digits(s string) int {
	n := 0
	for _, r := range s {
		if r >= '0' && r <= '9' {
			n++
		}
	}
	return n
}
