//! Where a line of the core can be changed, and into what.
//!
//! A place is an expression or a statement of one line in a function that runs, and whose effect could reach one of the parties: a change
//! that nobody could ever see says nothing about the transcripts. These are not:
//!
//! - tests, and what other programs alone have in them: `#[cfg(test)]`, `#[cfg(feature = "fuzzing")]`, `if cfg!(planted = …)`, `Hash`;
//! - `Debug`, `Display` and macros like `debug_assert!`, which decide nothing;
//! - how much room is made: `with_capacity`, `reserve`;
//! - `judge`: it tells the runtime which servers of a group to leave alone for a while. The servers are the runtime's, and on the core's
//!   stage all of a group are one; `sim` and the tests of groups see to it;
//! - `is_turned_away`: it asks how a server is to be judged, and nothing else;
//! - `method_is` and `limited`: they keep what `access_log` may be asked for when a session is over, and no line that the core itself has
//!   written says it. The log is the runtime's, and its tests see to it;
//! - where the compiler computes: `const`, types, patterns.
//!
//! What may come instead always has the same type, so nearly all changes compile.

use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, BinOp, Expr, ImplItemFn, Item, ItemFn, Lit, Stmt, UnOp};

/// The traits that decide nothing.
const UNSEEN_TRAITS: [&str; 3] = ["Debug", "Display", "Hash"];

/// The methods whose effect no party could see, called or written.
const UNSEEN_METHODS: [&str; 4] = ["reserve", "judge", "method_is", "limited"];

/// The functions that only ask what `judge` then tells.
const UNSEEN_FUNCTIONS: [&str; 1] = ["is_turned_away"];

/// A change of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The octets of the file that the change replaces.
    pub(crate) octets: Range<usize>,
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// What stands there then.
    pub(crate) instead: String,
    /// Whether it is a statement, which has no value.
    pub(crate) is_statement: bool,
}

/// All places of a file, in order.
///
/// # Errors
///
/// If it is not Rust.
pub(crate) fn of(source: &str) -> syn::Result<Vec<Place>> {
    let file = syn::parse_file(source)?;
    let mut search = Search { source, places: Vec::new() };
    search.visit_file(&file);
    search.places.sort_by_key(|place| (place.octets.start, place.octets.end));
    Ok(search.places)
}

struct Search<'s> {
    source: &'s str,
    places: Vec<Place>,
}

impl Search<'_> {
    fn text(&self, node: &impl Spanned) -> &str {
        self.source.get(node.span().byte_range()).unwrap_or_default()
    }

    /// Whether this is left out of the program that is played to.
    fn is_not_there(&self, attributes: &[Attribute]) -> bool {
        attributes.iter().any(|attribute| {
            let condition = self.text(attribute);
            condition.starts_with("#[test")
                || condition.starts_with("#[cfg(")
                    && (condition.contains("test") || condition.contains("fuzzing"))
        })
    }

    fn add(&mut self, node: &impl Spanned, instead: String, is_statement: bool) {
        let span = node.span();
        let of_one_line = span.start().line == span.end().line;
        if of_one_line {
            self.places.push(Place {
                octets: span.byte_range(),
                line: span.start().line,
                instead,
                is_statement,
            });
        }
    }

    /// `left` and `right` with another operator between them.
    fn operator(&mut self, binary: &syn::ExprBinary, other: &str) {
        let instead = format!("{} {other} {}", self.text(&binary.left), self.text(&binary.right));
        self.add(binary, instead, false);
    }

    /// The opposite of a condition that is no comparison, as those are changed by themselves.
    fn condition(&mut self, condition: &Expr) {
        if matches!(condition, Expr::Call(_) | Expr::MethodCall(_) | Expr::Path(_) | Expr::Field(_)) {
            self.add(condition, format!("!({})", self.text(condition)), false);
        }
    }
}

impl<'ast> Visit<'ast> for Search<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(module) => &module.attrs,
            Item::Fn(function) => &function.attrs,
            Item::Impl(written) => &written.attrs,
            Item::Const(_) | Item::Static(_) | Item::Enum(_) | Item::Macro(_) => return,
            _ => return visit::visit_item(self, item),
        };
        let decides_nothing = matches!(item, Item::Impl(written) if written.trait_.as_ref().is_some_and(|(_, name, _)| {
            name.segments.last().is_some_and(|last| UNSEEN_TRAITS.iter().any(|unseen| last.ident == unseen))
        }));
        if !self.is_not_there(attributes) && !decides_nothing {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if function.sig.constness.is_none() {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        let is_unseen =
            UNSEEN_FUNCTIONS.iter().chain(&UNSEEN_METHODS).any(|unseen| function.sig.ident == unseen);
        if function.sig.constness.is_none() && !is_unseen && !self.is_not_there(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_macro(&mut self, _: &'ast syn::Macro) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_expr_repeat(&mut self, _: &'ast syn::ExprRepeat) {}
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        // `let` in a chain of conditions has no value of its own.
        let has_let = [&binary.left, &binary.right].iter().any(|side| self.text(*side).contains("let "));
        let other = match binary.op {
            BinOp::Eq(_) => "!=",
            BinOp::Ne(_) => "==",
            BinOp::Lt(_) => "<=",
            BinOp::Le(_) => "<",
            BinOp::Gt(_) => ">=",
            BinOp::Ge(_) => ">",
            BinOp::And(_) if !has_let => "||",
            BinOp::Or(_) if !has_let => "&&",
            BinOp::Add(_) => "-",
            BinOp::Sub(_) => "+",
            _ => "",
        };
        if !other.is_empty() {
            self.operator(binary, other);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if !self.text(&call.func).ends_with("with_capacity") {
            visit::visit_expr_call(self, call);
        }
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        if matches!(unary.op, UnOp::Not(_)) {
            self.add(unary, format!("({})", self.text(&unary.expr)), false);
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_if(&mut self, branch: &'ast syn::ExprIf) {
        if self.text(&branch.cond).contains("cfg!(") {
            return;
        }
        self.condition(&branch.cond);
        visit::visit_expr_if(self, branch);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if let Some((_, guard)) = &arm.guard {
            self.condition(guard);
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if UNSEEN_METHODS.iter().any(|unseen| call.method == unseen) {
            return;
        }
        let other = match call.method.to_string().as_str() {
            "is_some" => "is_none",
            "is_none" => "is_some",
            "is_ok" => "is_err",
            "is_err" => "is_ok",
            "min" => "max",
            "max" => "min",
            "any" => "all",
            "all" => "any",
            "starts_with" => "ends_with",
            "ends_with" => "starts_with",
            _ => "",
        };
        if !other.is_empty() {
            let start = call.span().byte_range().start;
            let before = self.source.get(start..call.method.span().byte_range().start).unwrap_or_default();
            let behind = self.source.get(call.method.span().byte_range().end..call.span().byte_range().end);
            let instead = format!("{before}{other}{}", behind.unwrap_or_default());
            self.add(call, instead, false);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_lit(&mut self, literal: &'ast syn::ExprLit) {
        let text = self.text(literal);
        let instead = match &literal.lit {
            Lit::Bool(value) => Some((!value.value).to_string()),
            Lit::Int(number) => {
                let next = number.base10_parse::<u64>().ok().and_then(|number| number.checked_add(1));
                next.filter(|next| *next < 128).map(|next| format!("{next}{}", number.suffix()))
            }
            // Another text of the same length: its first letter is another.
            Lit::Str(_) | Lit::ByteStr(_) => {
                let letter = text.char_indices().skip(1).find(|&(at, letter)| {
                    letter.is_ascii_alphabetic()
                        && text.get(..at).is_some_and(|before| before.ends_with(['"', ' ', '[']))
                });
                letter.map(|(at, letter)| {
                    let other = if letter.eq_ignore_ascii_case(&'x') { 'y' } else { 'X' };
                    format!("{}{other}{}", &text[..at], &text[at + 1..])
                })
            }
            _ => None,
        };
        if let Some(instead) = instead {
            self.add(literal, instead, false);
        }
    }

    /// A statement that does something may be left out.
    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if let Stmt::Expr(Expr::MethodCall(call), _) = statement
            && UNSEEN_METHODS.iter().any(|unseen| call.method == unseen)
        {
            return;
        }
        if let Stmt::Expr(Expr::Call(_) | Expr::MethodCall(_) | Expr::Assign(_) | Expr::Binary(_), Some(_)) =
            statement
        {
            self.add(statement, String::new(), true);
        }
        visit::visit_stmt(self, statement);
    }
}
