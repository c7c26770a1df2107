package route

import "fmt"

// Candidate is what there is of one tenant when a table is to be made: what the
// configuration asks for and what is in use. Either may be missing, but not both
// need to be.
type Candidate struct {
	Name string
	// Fresh is the match that the configuration asks for, where all else about
	// the tenant is good; nil: it isn't.
	Fresh *Match
	// Last is the match under which the tenant's last good generation is served;
	// nil: there is none.
	Last *Match
	// Refused is the match whose requests nobody else must get, where there is
	// neither of the others: a part of it may be wrong.
	Refused *Match
}

// Match is what makes a request a tenant's: see Entry.
type Match struct {
	Domains    []string
	PathPrefix string
}

// Choice is what a table holds of a candidate.
type Choice int

// The choices.
const (
	Nothing Choice = iota // but what Refused has
	Fresh
	Last
)

// Arrangement is the choice for one candidate.
type Arrangement struct {
	Choice Choice
	// Conflict says why Fresh could not be chosen although it was there: another
	// tenant has a part of its match. Wrong is which: an index into its domains,
	// or -1 for its prefix.
	Conflict error
	Wrong    int
	// Refused is what of the candidate's Refused is valid and nobody has, for
	// Nothing; nil: none of it.
	Refused *Match
}

// Arrange chooses for each candidate what can be in one table together. What is
// in use goes before what is new: a tenant whose fresh match conflicts with one
// that another keeps is left with its last good generation, as a whole, and so
// on until nothing conflicts. Of two that are new, the first has it. The
// candidates' last matches don't conflict with each other: they are from one
// table.
func Arrange(list []Candidate) []Arrangement {
	a := arranger{list: list, chosen: make([]Arrangement, len(list)), owners: map[Claim]int{}, incumbents: map[Claim]int{}}
	for i := range list {
		a.begin(i)
	}
	for i := range list {
		if list[i].Fresh != nil {
			a.place(i)
		}
	}
	for i := range list {
		if a.chosen[i].Choice == Nothing && list[i].Refused != nil {
			a.refuse(i)
		}
	}
	return a.chosen
}

type arranger struct {
	list       []Candidate
	chosen     []Arrangement
	owners     map[Claim]int // of what is chosen
	incumbents map[Claim]int // of what a candidate has and still wants
}

// begin chooses the last match where there is no fresh one, and notes what the
// candidate has a right to before others.
func (a *arranger) begin(i int) {
	c := &a.list[i]
	if c.Last == nil {
		return
	}
	if c.Fresh == nil {
		a.keep(i)
		return
	}
	had := map[Claim]bool{}
	last, _ := ClaimsOf(c.Last.Domains, c.Last.PathPrefix)
	for _, claim := range last {
		had[claim] = true
	}
	fresh, _ := ClaimsOf(c.Fresh.Domains, c.Fresh.PathPrefix)
	for _, claim := range fresh {
		if had[claim] {
			a.incumbents[claim] = i
		}
	}
}

// place chooses the fresh match of a candidate, unless a part of it is taken.
func (a *arranger) place(i int) {
	c := &a.list[i]
	claims, err := ClaimsOf(c.Fresh.Domains, c.Fresh.PathPrefix)
	if err != nil { // Check has reported it
		a.fallBack(i, err, -1)
		return
	}
	seen := map[Claim]bool{}
	for n, claim := range claims {
		other, taken := a.owners[claim]
		if !taken {
			other, taken = a.incumbents[claim]
		}
		if seen[claim] { // it has it twice
			other = i
		} else if seen[claim] = true; !taken || other == i {
			continue
		}
		wrong := n
		if len(c.Fresh.Domains) == 0 {
			wrong = -1
		}
		words := "expected each match once"
		if a.chosen[other].Choice == Last {
			words = "whose last good configuration is still in use"
		}
		a.fallBack(i, fmt.Errorf("tenant %q has the same match as tenant %q (%s), %s", c.Name, a.list[other].Name, claim, words), wrong)
		return
	}
	a.chosen[i].Choice = Fresh
	for _, claim := range claims {
		a.owners[claim] = i
	}
}

// fallBack leaves a candidate with what it has.
func (a *arranger) fallBack(i int, err error, wrong int) {
	if fresh := a.list[i].Fresh; a.chosen[i].Choice == Fresh {
		claims, _ := ClaimsOf(fresh.Domains, fresh.PathPrefix)
		for _, claim := range claims {
			if a.owners[claim] == i {
				delete(a.owners, claim)
			}
		}
	}
	a.chosen[i] = Arrangement{Conflict: err, Wrong: wrong}
	if a.list[i].Last != nil {
		a.keep(i)
	}
}

// keep chooses the last match of a candidate. Fresh ones that are in its way
// fall back in turn; each does so once at most.
func (a *arranger) keep(i int) {
	a.chosen[i].Choice = Last
	c := &a.list[i]
	claims, _ := ClaimsOf(c.Last.Domains, c.Last.PathPrefix)
	for _, claim := range claims {
		other, taken := a.owners[claim]
		a.owners[claim] = i
		if !taken || other == i || a.chosen[other].Choice != Fresh {
			continue
		}
		a.fallBack(other, fmt.Errorf("tenant %q has the same match as tenant %q (%s), whose last good configuration is still in use",
			a.list[other].Name, c.Name, claim), a.wrongIn(other, claim))
		a.owners[claim] = i
	}
}

// wrongIn finds the domain that a claim is of.
func (a *arranger) wrongIn(i int, wanted Claim) int {
	c := a.list[i].Fresh
	if len(c.Domains) > 0 {
		claims, _ := ClaimsOf(c.Domains, c.PathPrefix)
		for n, claim := range claims {
			if claim == wanted {
				return n
			}
		}
	}
	return -1
}

// refuse takes what is free and valid of a match, so that its requests don't
// fall to a tenant with a wider one.
func (a *arranger) refuse(i int) {
	refused, chosen := a.list[i].Refused, &a.chosen[i]
	prefix := refused.PathPrefix
	if CheckPrefix(prefix) != nil {
		if prefix = ""; len(refused.Domains) == 0 {
			return
		}
	}
	free := func(domains []string) bool {
		claims, err := ClaimsOf(domains, prefix)
		if err != nil {
			return false
		}
		if _, taken := a.owners[claims[0]]; taken {
			return false
		}
		a.owners[claims[0]] = i
		return true
	}
	if len(refused.Domains) == 0 {
		if free(nil) {
			chosen.Refused = &Match{PathPrefix: prefix}
		}
		return
	}
	var domains []string
	for _, domain := range refused.Domains {
		if free([]string{domain}) {
			domains = append(domains, domain)
		}
	}
	if domains != nil {
		chosen.Refused = &Match{Domains: domains, PathPrefix: prefix}
	}
}
