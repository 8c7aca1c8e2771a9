package api

// Reasons are the reasons of all problems that have a text of their own.
func Reasons() []string {
	list := []string{unavailable.reason, "clock", "password", "missing", "throttled", "locked", "sign_in_again", "refused"}
	for _, t := range texts {
		list = append(list, t.reason)
	}
	for _, t := range challenges {
		list = append(list, t.reason)
	}
	return list
}

// Docs is where they are explained.
const Docs = docs
