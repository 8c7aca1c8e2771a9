package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/sender"
)

// measuredSender counts what one sender does, and what it costs.
type measuredSender struct {
	mfa.Sender
	channel, name string
	price         float64 // of one message; 0: nobody said
	metrics       *metrics
}

// Send implements mfa.Sender.
func (s *measuredSender) Send(ctx context.Context, m *mfa.Message) error {
	ctx, span := beginSendSpan(ctx, s.channel, s.name)
	err := s.Sender.Send(ctx, m)
	outcome := "sent"
	switch failed, ok := errors.AsType[*mfa.SendError](err); {
	case err == nil:
		if s.price > 0 {
			s.metrics.cost.WithLabelValues(s.channel, s.name).Add(s.price)
		}
	case ok && failed.Temporary:
		outcome = "retry"
	default:
		outcome = "error"
	}
	s.metrics.messages.WithLabelValues(s.channel, s.name, contentLabel(m.Kind), outcome).Inc()
	if span != nil {
		endSpan(span, err != nil)
	}
	return err
}

// priced is a SenderModule whose messages cost money.
type priced interface {
	// messagePrice is what one message costs; 0: nobody said.
	messagePrice() float64
}

func priceOf(mod SenderModule) float64 {
	if p, ok := mod.(priced); ok {
		return p.messagePrice()
	}
	return 0
}

// checkPrice refuses what is no price.
func checkPrice(price float64) error {
	if !(price >= 0 && price <= maxPrice) { // not a number is neither
		return fmt.Errorf("price: is what one message costs, from 0 to %d; write for example: price 0.075", maxPrice)
	}
	return nil
}

// maxPrice is more than any message costs.
const maxPrice = 1000

// price reads what one message costs.
func (b *block) price(to *float64) error {
	var text string
	if err := b.word(&text, "price 0.075"); err != nil {
		return err
	}
	price, err := strconv.ParseFloat(text, 64)
	if err != nil || checkPrice(price) != nil || price == 0 {
		return b.Errf("price: %q is no price of one message above zero; write for example: price 0.075", text)
	}
	*to = price
	return nil
}

// contentLabel says what a message carries.
func contentLabel(k mfa.LetterKind) string {
	switch k {
	case mfa.LetterVerify, mfa.LetterSetUp, mfa.LetterSignIn, mfa.LetterSignUp:
		return "code"
	case mfa.LetterPasswordReset, mfa.LetterInvitation:
		return "link"
	}
	return "notice"
}

// measuredPost counts the letters that never come as far as a sender.
type measuredPost struct {
	*sender.Post
	metrics *metrics
}

// Send implements mfa.Post.
func (p measuredPost) Send(ctx context.Context, l *mfa.Letter) error {
	err := p.Post.Send(ctx, l)
	if errors.Is(err, mfa.ErrBusy) {
		p.drop(l)
	}
	return err
}

// Queue implements mfa.Post.
func (p measuredPost) Queue(l *mfa.Letter) bool {
	if p.Post.Queue(l) {
		return true
	}
	p.drop(l)
	return false
}

func (p measuredPost) drop(l *mfa.Letter) {
	p.metrics.dropped.WithLabelValues(label(factors, l.Channel), contentLabel(l.Kind)).Inc()
}

var (
	_ mfa.Sender = (*measuredSender)(nil)
	_ mfa.Post   = measuredPost{}
)
