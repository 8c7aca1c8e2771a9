package otpcode_test

import (
	"fmt"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/otpcode"
)

func Example() {
	codes, err := otpcode.New(otpcode.Config{Countries: []string{"DE"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	number, err := codes.Address(mfa.SMS, "0151 123 456 42")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(number)
	fmt.Println(codes.Display(mfa.SMS, number))
	fmt.Println(codes.Mask(mfa.SMS, number))

	code, kept, err := codes.New(mfa.SMS)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(code) // a secret does not show itself
	fmt.Println(codes.Matches(kept, " "+string([]byte(code))))

	_, err = codes.Address(mfa.SMS, "+1 900 555 0123")
	fmt.Println(err)

	// Output:
	// +4915112345642
	// +49 1511 2345642
	// •••• 42
	// [redacted]
	// true
	// no text message goes to this number
}
