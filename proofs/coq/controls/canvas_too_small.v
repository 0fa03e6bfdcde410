(* A missing hypothesis: only_center_tap without `fits`, that is on canvases  *)
(* which the box around a query and its taps may not fit on. It is false on a *)
(* canvas of two tokens, for the box filter with the taps -1, 0, 1, each of   *)
(* the matrix 1. From each query these reach both tokens, so the output is    *)
(* the sum over the image. A head with equal scores computes it exactly,      *)
(* although two taps lie off the center. No tap is further away than the      *)
(* canvas is long: the hypothesis `near` holds.                               *)
(* must fail: The term "fits" has type "any_canvas .*" *)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers zero_padding.
From Expressivity Require Import permutation.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* What is asked of a canvas and the displacements of the taps.               *)
Definition requirement := forall d, ('I_d -> nat) -> forall T, (T -> point d) -> Prop.

Definition large_canvas : requirement := fun d m T Delta =>
  forall tap t a, Delta tap 0 a - Delta t 0 a <= (m a)%:Z.

Definition any_canvas : requirement := fun d m T Delta => True.

Section Control.
Variables (R : realFieldType) (E : exponential R).

Definition center_only (required : requirement) :=
  forall d (m : 'I_d -> nat) cin Dk Dp Dh cout (H T : finType)
    (heads : H -> head R cin Dk Dp Dh cout) (bias b : 'rV[R]_cout)
    (encode : point d -> 'rV[R]_Dp) (Delta : T -> point d)
    (W : T -> 'M[R]_(cin, cout)) tap,
  injective Delta -> (forall t a, `|Delta t 0 a| <= (m a)%:Z) ->
  required d m T Delta ->
  (forall x (q : token m),
     self_attention E heads bias encode (fun _ : token m => x) q
     = convolution Delta W b (zero_extension (fun _ : token m => x)) (position q)) ->
  Delta tap != 0 -> W tap = 0.

Theorem on_large_canvases : center_only large_canvas.
Proof.
move=> > centers near fits; rewrite self_attention_scored => equal.
exact (only_center_tap centers near fits equal).
Qed.

(* The canvas of two tokens, and the taps -1, 0, 1. *)
Let two : 'I_1 -> nat := fun=> 1%N.
Let taps := [finType of token (fun a => (two a).*2)].
Let Delta : taps -> point 1 := @box_center 1 two.

Lemma Delta_inj : injective Delta.
Proof. exact: box_center_inj. Qed.

Lemma Delta_near t a : `|Delta t 0 a| <= (two a)%:Z.
Proof.
rewrite /Delta /box_center !mxE ler_norml ler_subr_addl subrr ler_subl_addl.
by rewrite -PoszD !lez_nat leq0n addnn -ltnS ltn_ord.
Qed.

(* The tap that leads from the first token to the second. *)
Lemma tap_off_center : exists tap, Delta tap != 0.
Proof.
have [tap tap_is] := box_reaches_all (nearest two 0) (nearest two (const_mx 1)).
exists tap; rewrite /Delta tap_is !position_nearest ?subr0.
- by apply/rV0Pn; exists 0; rewrite mxE.
- by apply/forallP => a; rewrite mxE.
by apply/forallP => a; rewrite mxE.
Qed.

Theorem refuted : ~ center_only any_canvas.
Proof.
have [tap off_center] := tap_off_center.
pose W (_ : taps) : 'M[R]_1 := 1; pose encode (_ : point 1) : 'rV[R]_1 := 0.
pose heads (_ : 'I_1) := uniform_head two 1 1 (W tap).
have equal := box_filter E 1 (W tap) 0 encode Delta_inj (@box_reaches_all 1 two).
move=> wrong; have : W tap = 0.
  exact: (wrong _ _ _ _ _ _ _ _ _ heads 0 0 encode Delta W tap
    Delta_inj Delta_near I (fun x => equal (fun=> x)) off_center).
by apply/eqP; rewrite oner_eq0.
Qed.

Theorem on_any_canvas : center_only any_canvas.
Proof.
move=> > centers near fits; rewrite self_attention_scored => equal.
exact (only_center_tap centers near fits equal).
Qed.

End Control.
