(* Strengthened wrongly: no_zero_padding with the whole difference of the two *)
(* zero-padded outputs instead of half of it. The same script proves the true *)
(* statement first, so that nothing but the factor can be the reason why it   *)
(* fails. The statement is false where the outputs differ: a layer with       *)
(* W_val = 0 and a bias in the middle of the two outputs is wrong by half     *)
(* of their difference at both queries.                                       *)
(* must fail: Cannot apply lemma no_zero_padding *)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers zero_padding.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Control.
Variables (R : realFieldType) (E : exponential R) (d : nat) (m : 'I_d -> nat).
Variables (cin Dk Dp Dh cout : nat) (H T : finType).
Variables (heads : H -> head R cin Dk Dp Dh cout) (bias b : 'rV[R]_cout).
Variables (encode : point d -> 'rV[R]_Dp) (Delta : T -> point d).
Variable W : T -> 'M[R]_(cin, cout).

Definition wrong_by (share : R) := forall (x : 'rV[R]_cin) (q1 q2 : token m) o,
  let layer := self_attention E heads bias encode (fun _ : token m => x) in
  let image := zero_extension (fun _ : token m => x) in
  let padded q := convolution Delta W b image (position q) in
  `|padded q1 0 o - padded q2 0 o| / share
  <= Num.max `|layer q1 0 o - padded q1 0 o| `|layer q2 0 o - padded q2 0 o|.

Theorem half_of_the_difference : wrong_by 2%:R.
Proof. by move=> x q1 q2 o; apply: no_zero_padding. Qed.

Theorem whole_difference : wrong_by 1%:R.
Proof. by move=> x q1 q2 o; apply: no_zero_padding. Qed.

End Control.
