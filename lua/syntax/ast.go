package syntax

// Pos is a place in a source, counted from 1; columns are in bytes.
type Pos struct{ Line, Column int32 }

// Position returns the place itself: every node has it by embedding a Pos.
func (p Pos) Position() Pos { return p }

// Variable is a local variable, a parameter or a loop's variable.
type Variable struct {
	Name     string
	Used     bool // it is named somewhere after its declaration
	Captured bool // by an inner function
	Register int  // for the compiler

	owner    *Function
	shadowed *Variable // what the name meant before
}

// Of reports whether a function declares the variable.
func (v *Variable) Of(f *Function) bool { return v.owner == f }

// Function is a function's parameters and body. The main function of a source
// is a vararg function without parameters.
type Function struct {
	Pos
	EndLine int32
	Name    string // as the source writes it: "a.b:c"; "" is none
	Params  []*Variable
	Vararg  bool
	// Arg is the parameter "arg" of a vararg function that names it: Lua 5.1
	// has it hold the further arguments, or nil where "..." is used too.
	Arg      *Variable
	UsesDots bool
	Body     *Block
}

// Block is a list of statements with a scope of its own.
type Block struct {
	Statements []Statement
	EndLine    int32
}

// Statement is one of the types below.
type Statement interface{ Position() Pos }

// The statements.
type (
	// Local is "local a, b = …"; Values may be more or fewer than Variables.
	Local struct {
		Pos
		Variables []*Variable
		Values    []Expression
	}
	// LocalFunction is "local function f", which sees itself.
	LocalFunction struct {
		Pos
		Variable *Variable
		Function *Function
	}
	// Assign is "a, b.c = …". A target is a Name or an Access that ends with
	// an index.
	Assign struct {
		Pos
		Targets []Expression
		Values  []Expression
	}
	// DefineFunction is "function a.b.c" and "function a:b".
	DefineFunction struct {
		Pos
		Target   Expression
		Function *Function
	}
	// CallStatement calls; Call ends with a call.
	CallStatement struct {
		Pos
		Call *Access
	}
	// Do is "do … end".
	Do struct {
		Pos
		Body *Block
	}
	// While is a loop.
	While struct {
		Pos
		Condition Expression
		Body      *Block
	}
	// Repeat is a loop whose condition sees the body's variables.
	Repeat struct {
		Pos
		Body      *Block
		Condition Expression
	}
	// If has a clause for if and each elseif.
	If struct {
		Pos
		Clauses []Clause
		Else    *Block // nil is none
	}
	// NumericFor is "for i = a, b, c".
	NumericFor struct {
		Pos
		Variable           *Variable
		Start, Limit, Step Expression // Step nil is 1
		Body               *Block
	}
	// GenericFor is "for a, b in …".
	GenericFor struct {
		Pos
		Variables []*Variable
		From      Pos // what follows in
		Values    []Expression
		Body      *Block
	}
	// Return ends a function.
	Return struct {
		Pos
		Values []Expression
	}
	// Break leaves the innermost loop.
	Break struct{ Pos }
	// Goto jumps to a label of the same function.
	Goto struct {
		Pos
		Label *Label
	}
	// Label is "::name::".
	Label struct {
		Pos
		Name string
		// Active is how many variables of the function are visible there,
		// without Arg.
		Active int

		// For the compiler: where it is, or the jumps that wait for that.
		Place int
		Jumps []int
	}
)

// Clause is a condition with what follows it.
type Clause struct {
	Pos
	Condition Expression
	Body      *Block
}

// Expression is one of the types below.
type Expression interface{ Position() Pos }

// The expressions.
type (
	// Nil is nil.
	Nil struct{ Pos }
	// Bool is true or false.
	Bool struct {
		Pos
		Value bool
	}
	// Number is a number.
	Number struct {
		Pos
		Value float64
	}
	// String is a string.
	String struct {
		Pos
		Value string
	}
	// Dots is "...".
	Dots struct{ Pos }
	// Name is a variable; Variable nil is a global.
	Name struct {
		Pos
		Name     string
		Variable *Variable
	}
	// Closure makes a function.
	Closure struct {
		Pos
		Function *Function
	}
	// Table is a constructor.
	Table struct {
		Pos
		EndLine int32
		Fields  []Field
	}
	// Access is what follows a value: indices, calls and methods.
	Access struct {
		Pos
		Base  Expression
		Steps []Step
	}
	// Single is an expression in parentheses, which has one value.
	Single struct {
		Pos
		Value Expression
	}
	// Unary is an operator before a value.
	Unary struct {
		Pos
		Operator Operator
		Value    Expression
	}
	// Binary is First with each of Rest, from left to right. The operators are
	// of one precedence; but Power has one operand in Rest.
	Binary struct {
		Pos
		First Expression
		Rest  []Operand
	}
	// Logical is a chain of "and" or of "or".
	Logical struct {
		Pos
		Operator Operator // And or Or
		Values   []Expression
	}
	// Concat is a chain of "..", which joins from right to left.
	Concat struct {
		Pos
		Values []Expression
	}
)

// Field is one of a constructor's: Key nil is the next of the list.
type Field struct {
	Pos
	Key, Value Expression
}

// Operand is an operator, which stands at Pos, and its right side.
type Operand struct {
	Pos
	Operator Operator
	Value    Expression
}

// StepKind says what a Step does.
type StepKind uint8

// The kinds of steps.
const (
	Index      StepKind = iota // .name and [key]
	Call                       // (…)
	MethodCall                 // :name(…)
)

// Step is one index or call of an Access.
type Step struct {
	Pos
	Kind      StepKind
	Key       Expression // of Index; of MethodCall its name, a String
	Arguments []Expression
}

// Operator is one of the language's.
type Operator uint8

// The operators.
const (
	Add Operator = iota
	Subtract
	Multiply
	Divide
	Modulo
	Power
	Equal
	NotEqual
	Less
	LessEqual
	Greater
	GreaterEqual
	And
	Or
	Join // of Concat
	Negate
	Not
	Length
)
