(******************************************************************************)
(* No zero padding without tokens that are zero.                              *)
(*                                                                            *)
(* In words. Zero padding is the convolution of an image that is extended by  *)
(* zero to all points off the canvas              zero_extension in layers.v. *)
(* It tells a query at the border from a query in the middle even if the      *)
(* image is constant. Self-attention cannot, and this has nothing to do with  *)
(* the form of its scores. Let each head h give each token k a score at each  *)
(* query q, any number, which may depend on the whole image X. Let the output *)
(* at q be                                                                    *)
(*   bias + sum_h (sum_k softmax(scores of h at q)_k X_k W_val) W_out         *)
(*                                                       scored_attention     *)
(* The self-attention of layers.v is such a layer      self_attention_scored. *)
(* For all such layers:                                                       *)
(*   - on a constant image all probabilities are spent on the same content x, *)
(*     so the output is bias + sum_h x W_val W_out, whatever the scores are,  *)
(*     and the same at every query                       constant_attention   *)
(*   - so, if the convolution gives y_1 and y_2 at two queries, the layer is  *)
(*     wrong by |y_1 - y_2| / 2 or more at one of them      no_zero_padding   *)
(*   - if, on the constant image that is 1 in channel i, the layer is never   *)
(*     wrong by more than eps in channel o, then |W i o| of a tap off the     *)
(*     center is at most eps times a factor 2 for each axis along which the   *)
(*     tap is displaced, and 3 for each other axis           off_center_bound *)
(*   - so, if the layer is exact on the constant images, then all taps but    *)
(*     the one at the center are zero                       only_center_tap.  *)
(* The last two need taps with different centers, and a canvas that the box   *)
(* around a query and its taps fits on, so that there is a query with its     *)
(* whole window on the canvas. Shorter canvases have exceptions: see the box  *)
(* filter in permutation.v.                                                   *)
(*                                                                            *)
(* Proof of the last two. Let the tap be displaced by D. Along each axis a    *)
(* there are two queries, three if D_a = 0, such that the taps that they keep *)
(* on the canvas, added up with signs, are the taps displaced by D_a along it *)
(*                                                                axis_test.  *)
(* Products of these signs, summed over the canvas, single out the tap        *)
(*                                                                  borders.  *)
(* The signs add up to zero along an axis where D_a is not 0, so they take    *)
(* the output of the layer, which does not depend on the query, to zero.      *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect all_algebra.
From Expressivity Require Import softmax canvas encoding layers.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* One number is half the difference away from one of two numbers.            *)
Lemma two_errors (R : realFieldType) (z y1 y2 : R) :
  `|y1 - y2| / 2%:R <= Num.max `|z - y1| `|z - y2|.
Proof.
rewrite ler_pdivr_mulr ?ltr0n// mulr_natr mulr2n.
have -> : y1 - y2 = (z - y2) - (z - y1) by rewrite opprB [RHS]addrC subrKA.
rewrite (le_trans (ler_norm_sub _ _))// addrC ler_add// le_maxr lexx ?orbT//.
Qed.

Section ScoredAttention.
Variables (R : realFieldType) (E : exponential R).
Variables (Din Dh Dout : nat) (H K : finType).        (* the heads; the tokens *)
Variable scores : H -> (K -> 'rV[R]_Din) -> K -> K -> R.
Variables (Wval : H -> 'M[R]_(Din, Dh)) (Wout : H -> 'M[R]_(Dh, Dout)).
Variable bias : 'rV[R]_Dout.
Implicit Types (X : K -> 'rV[R]_Din) (q : K).

(* Here scores h X q k is the score of the token k at the query q.            *)
Definition scored_attention X q : 'rV[R]_Dout :=
  bias + \sum_h (\sum_k softmax E (scores h X q) k *: (X k *m Wval h)) *m Wout h.

Theorem constant_attention x X q :
  (forall k, X k = x) -> scored_attention X q = bias + \sum_h x *m Wval h *m Wout h.
Proof.
move=> constant; congr (_ + _); apply: eq_bigr => h _; congr (_ *m _).
rewrite -[RHS]scale1r -(softmax_sum1 E (scores h X q) q).
by rewrite scaler_suml; apply: eq_bigr => k _; rewrite constant.
Qed.

End ScoredAttention.

(* The layer of layers.v, with its scores.                                    *)
Lemma self_attention_scored (R : realFieldType) (E : exponential R)
    (Din Dk Dp Dh Dout : nat) (H : finType) (d : nat) (m : 'I_d -> nat)
    (heads : H -> head R Din Dk Dp Dh Dout) bias (encode : point d -> 'rV[R]_Dp) :
  self_attention (m := m) E heads bias encode
  = scored_attention E (fun h X q k =>
      score (heads h) (X q) (X k) (encode (position k - position q)))
      (fun h => W_val (heads h)) (fun h => W_out (heads h)) bias.
Proof. by []. Qed.

(* Queries along one axis, with the coordinates 0, ..., n, and how far each   *)
(* tap is from them along it.                                                 *)
Section Axis.
Variables (R : realFieldType) (n : nat) (T : finType) (shift : T -> int).
Implicit Types (t tap : T) (i : 'I_n.+1).

(* Whether a shift by x keeps the query i on the axis. *)
Definition keeps i (x : int) := 0 <= (i : nat)%:Z + x <= n%:Z.

(* A query of the axis and all taps together reach no further than the axis.  *)
Hypothesis near : forall t, `|shift t| <= n%:Z.
Hypothesis fits : forall t t', shift t - shift t' <= n%:Z.

Lemma clampK (x : int) : 0 <= x <= n%:Z -> (clamp n x : nat)%:Z = x.
Proof.
move=> /andP[x_ge0 x_le]; rewrite clampE min_l//; case: ifP => // x_le0.
by apply/eqP; rewrite eq_le x_ge0 x_le0.
Qed.

(* The query at -c keeps the shifts from c on, the one at n - c those up to c. *)
Lemma keeps_above c t :
  0 <= - c <= n%:Z -> shift t - c <= n%:Z ->
  keeps (clamp n (- c)) (shift t) = (c <= shift t).
Proof. by move=> c_in le_n; rewrite /keeps clampK// addrC le_n andbT subr_ge0. Qed.

Lemma keeps_below c t :
  0 <= c <= n%:Z -> c - shift t <= n%:Z ->
  keeps (clamp n (n%:Z - c)) (shift t) = (shift t <= c).
Proof.
move=> /andP[c_ge0 c_le] le_n.
rewrite /keeps clampK ?subr_ge0 ?c_le ?ger_addl ?oppr_le0//.
have -> : 0 <= n%:Z - c + shift t by rewrite -addrA [- c + _]addrC -opprB subr_ge0.
by rewrite -addrA ger_addl addrC subr_le0.
Qed.

Lemma axis_test tap (D := shift tap) :
  exists i1 i2 i3 : 'I_n.+1, forall t,
    (keeps i1 (shift t))%:R + (D == 0)%:R * (keeps i2 (shift t))%:R
    - (keeps i3 (shift t))%:R = (shift t == D)%:R :> R.
Proof.
have /ler_normlP[ND_le D_le] : `|D| <= n%:Z := near tap.
have above t : shift t - D <= n%:Z := fits t tap.
have below t : D - shift t <= n%:Z := fits tap t.
have [D_gt0|D_lt0|D0] := ltrgt0P D.
- exists (clamp n (n%:Z - D)), ord0, (clamp n (n%:Z - (D - 1))) => t.
  have D1_ge0 : 0 <= D - 1 by rewrite subr_ge0 -gtz0_ge1.
  have le_n (x : int) : D - x <= n%:Z -> D - 1 - x <= n%:Z.
    by apply: le_trans; rewrite addrAC ler_subl_addr ler_addl.
  rewrite mulr0n mul0r addr0 keeps_below ?below ?D_le ?andbT ?(ltW D_gt0)// keeps_below.
  + by rewrite ler_subr_addr lez_addr1; case: ltgtP; rewrite ?subrr ?subr0.
  + by rewrite D1_ge0 -[_ - 1]subr0 le_n ?subr0.
  by rewrite le_n ?below.
- exists (clamp n (- D)), ord0, (clamp n (- (D + 1))) => t.
  have D1_le0 : D + 1 <= 0 by rewrite lez_addr1.
  have le_n (x : int) : x - D <= n%:Z -> x - (D + 1) <= n%:Z.
    by apply: le_trans; rewrite ler_add2l ler_opp2 ler_addl.
  rewrite mulr0n mul0r addr0 keeps_above ?above ?ND_le ?oppr_ge0 ?(ltW D_lt0)//.
  rewrite keeps_above.
  + by rewrite lez_addr1; case: ltgtP; rewrite ?subrr ?subr0.
  + by rewrite oppr_ge0 D1_le0 -[- _]sub0r le_n ?sub0r.
  by rewrite le_n ?above.
pose lowest := shift [arg min_(t < tap) shift t]%O.
have lowest_le t : lowest <= shift t.
  by rewrite /lowest; case: Order.TotalTheory.arg_minP => // t0 _; apply.
have lowest_in : 0 <= - lowest <= n%:Z.
  have /ler_normlP[-> _] := near [arg min_(t < tap) shift t]%O.
  by rewrite oppr_ge0 -D0 lowest_le.
exists (clamp n (- 0)), (clamp n (n%:Z - 0)), (clamp n (- lowest)) => t.
have /ler_normlP[Nshift_le shift_le] := near t.
have -> : keeps (clamp n (- 0)) (shift t) = (0 <= shift t).
  by rewrite keeps_above ?oppr0 ?subr0.
have -> : keeps (clamp n (n%:Z - 0)) (shift t) = (shift t <= 0).
  by rewrite keeps_below ?sub0r.
rewrite mul1r keeps_above ?fits// lowest_le D0.
by case: ltgtP => _; rewrite ?addr0 ?add0r ?subrr ?addrK.
Qed.

(* The same as signs c_i of the queries i, with their sum and absolute sum.   *)
Lemma axis_signs tap (D := shift tap) :
  exists c : 'I_n.+1 -> R,
    [/\ forall t, \sum_i c i * (keeps i (shift t))%:R = (shift t == D)%:R,
        \sum_i c i = (D == 0)%:R & \sum_i `|c i| <= 2%:R + (D == 0)%:R].
Proof.
have [i1 [i2 [i3 test]]] := axis_test tap.
pose at_i (j i : 'I_n.+1) : R := (i == j)%:R.
have at_ge0 j i : 0 <= at_i j i by exact: ler0n.
have pick (f : 'I_n.+1 -> R) j : \sum_i at_i j i * f i = f j.
  by rewrite (bigD1 j)//= /at_i eqxx mul1r big1 ?addr0// => i /negPf->; rewrite mul0r.
have pick1 j : \sum_i at_i j i = 1.
  by rewrite -(pick (fun=> 1) j); apply: eq_bigr => i _; rewrite mulr1.
exists (fun i => at_i i1 i + (D == 0)%:R * at_i i2 i - at_i i3 i); split=> [t||].
- pose f i : R := (keeps i (shift t))%:R.
  rewrite -test -!/(f _) -(pick f i1) -(pick f i2) -(pick f i3) mulr_sumr.
  rewrite -big_split -sumrB; apply: eq_bigr => i _ /=.
  by rewrite !mulrDl mulNr mulrA.
- by rewrite sumrB big_split -mulr_sumr !pick1 mulr1 addrAC subrr add0r.
have -> : 2%:R + (D == 0)%:R = \sum_i (at_i i1 i + (D == 0)%:R * at_i i2 i + at_i i3 i).
  by rewrite !big_split -mulr_sumr /= !pick1 mulr1 addrAC.
apply: ler_sum => i _; rewrite (le_trans (ler_norm_sub _ _))// ger0_norm ?ger0_norm//.
by rewrite addr_ge0 ?mulr_ge0 ?ler0n.
Qed.

End Axis.

Section ZeroPadding.
Variables (R : realFieldType) (E : exponential R) (d : nat) (m : 'I_d -> nat).
Variables (cin Dh cout : nat) (H T : finType).
Variable scores : H -> (token m -> 'rV[R]_cin) -> token m -> token m -> R.
Variables (Wval : H -> 'M[R]_(cin, Dh)) (Wout : H -> 'M[R]_(Dh, cout)).
Variable bias : 'rV[R]_cout.
Variables (Delta : T -> point d) (W : T -> 'M[R]_(cin, cout)) (b : 'rV[R]_cout).
Implicit Types (x : 'rV[R]_cin) (q k : token m) (o : 'I_cout) (tap t : T).

(* The two layers on the constant image x: attention with scores of any form, *)
(* and the zero-padded convolution.                                           *)
Local Notation layer x q :=
  (scored_attention E scores Wval Wout bias (fun _ : token m => x) q).
Local Notation padded x q :=
  (convolution Delta W b (zero_extension (fun _ : token m => x)) (position q)).

Lemma constant_padding x q :
  padded x q = b + \sum_(tap | on_canvas m (position q + Delta tap)) x *m W tap.
Proof.
rewrite /convolution [in RHS]big_mkcond /zero_extension; congr (_ + _).
by apply: eq_bigr => tap _; case: ifP; rewrite ?mul0mx.
Qed.

Lemma constant_layer x q : layer x q = bias + \sum_h x *m Wval h *m Wout h.
Proof. exact: constant_attention. Qed.

Theorem no_zero_padding x q1 q2 o :
  `|padded x q1 0 o - padded x q2 0 o| / 2%:R
  <= Num.max `|layer x q1 0 o - padded x q1 0 o| `|layer x q2 0 o - padded x q2 0 o|.
Proof. by rewrite !constant_layer; apply: two_errors. Qed.

(* No two taps have the same center. The box around the query and its taps is *)
(* no longer than the canvas, along any axis.                                 *)
Hypothesis centers : injective Delta.
Hypothesis near : forall tap a, `|Delta tap 0 a| <= (m a)%:Z.
Hypothesis fits : forall tap t a, Delta tap 0 a - Delta t 0 a <= (m a)%:Z.

Lemma on_canvas_axes k (delta : point d) :
  (on_canvas m (position k + delta))%:R = \prod_a (keeps (k a) (delta 0 a))%:R :> R.
Proof.
have -> : on_canvas m (position k + delta) = \big[andb/true]_a keeps (k a) (delta 0 a).
  by rewrite big_andE; apply: eq_forallb => a; rewrite !mxE.
rewrite (big_morph (fun c : bool => c%:R) (id1 := 1) (op1 := *%R))// => c1 c2.
by rewrite -mulnb natrM.
Qed.

(* A factor 2 for each axis along which the tap is displaced, 3 for others.   *)
Definition query_factor tap : R := \prod_a (2%:R + (Delta tap 0 a == 0)%:R).

Lemma same_center t tap :
  \prod_a (Delta t 0 a == Delta tap 0 a)%:R = (t == tap)%:R :> R.
Proof.
have [->|ne] := eqVneq t tap; first by rewrite big1// => a _; rewrite eqxx.
have : Delta t - Delta tap != 0 by rewrite subr_eq0 (inj_eq centers).
case/rV0Pn=> a; rewrite !mxE subr_eq0 => /negPf ne_a.
by rewrite (bigD1 a)//= ne_a mul0r.
Qed.

(* If the taps kept on the canvas add up to about the same at all queries, no *)
(* tap off the center has much weight.                                        *)
Lemma borders (w : T -> R) z eps tap :
  (forall q, `|z - \sum_(t | on_canvas m (position q + Delta t)) w t| <= eps) ->
  Delta tap != 0 -> `|w tap| <= eps * query_factor tap.
Proof.
pose S q := \sum_(t | on_canvas m (position q + Delta t)) w t.
move=> close /rV0Pn[axis displaced].
have [c sign] := fin_all_exists (fun a =>
  axis_signs R (fun t => near t a) (fun t t' => fits t t' a) tap).
pose C q := \prod_a c a (q a).
have sumC : \sum_q C q = 0.
  rewrite sum_tokens (bigD1 axis)//=; have [_ -> _] := sign axis.
  by rewrite (negPf displaced) mul0r.
have sumCS : \sum_q C q * S q = w tap.
  have single t : \sum_q C q * (on_canvas m (position q + Delta t))%:R = (t == tap)%:R.
    under eq_bigr do rewrite on_canvas_axes -big_split /=.
    rewrite (sum_tokens (fun a i => c a i * (keeps i (Delta t 0 a))%:R)) -same_center.
    by apply: eq_bigr => a _; have [-> _ _] := sign a.
  transitivity (\sum_t (\sum_q C q * (on_canvas m (position q + Delta t))%:R) * w t).
    under [RHS]eq_bigr do rewrite mulr_suml.
    rewrite [RHS]exchange_big; apply: eq_bigr => q _ /=.
    rewrite /S big_mkcond mulr_sumr; apply: eq_bigr => t _.
    by case: ifP; rewrite ?mulr1// !mulr0 mul0r.
  under eq_bigr do rewrite single.
  by rewrite (bigD1 tap)//= eqxx mul1r big1 ?addr0// => t /negPf->; rewrite mul0r.
have -> : w tap = \sum_q C q * (S q - z).
  under eq_bigr do rewrite mulrBr.
  by rewrite sumrB sumCS -mulr_suml sumC mul0r subr0.
rewrite (le_trans (ler_norm_sum _ _ _))//.
apply: (@le_trans _ _ (\sum_q `|C q| * eps)).
  by apply: ler_sum => q _; rewrite normrM ler_wpmul2l// distrC; apply: close.
have eps_ge0 : 0 <= eps by apply: le_trans (close (nearest m 0)).
rewrite -mulr_suml mulrC ler_wpmul2l//.
rewrite (eq_bigr (fun q : token m => \prod_a `|c a (q a)|)) => [|q _].
  2: exact: normr_prod.
rewrite (sum_tokens (fun a i => `|c a i|)); apply: ler_prod => a _.
have [_ _ ->] := sign a.
by rewrite sumr_ge0.
Qed.

Theorem off_center_bound i o eps tap (x := delta_mx 0 i) :
  (forall q, `|layer x q 0 o - padded x q 0 o| <= eps) ->
  Delta tap != 0 -> `|W tap i o| <= eps * query_factor tap.
Proof.
pose z := (bias + \sum_h x *m Wval h *m Wout h) 0 o - b 0 o.
move=> errors; apply: (@borders (fun t => W t i o) z) => q.
have := errors q; rewrite constant_layer constant_padding.
rewrite [(b + _) 0 o]mxE summxE opprD addrA => error.
rewrite (eq_bigr (fun t => (x *m W t) 0 o)) => [|t _]; first exact: error.
by rewrite -rowE mxE.
Qed.

Theorem only_center_tap tap :
  (forall x q, layer x q = padded x q) -> Delta tap != 0 -> W tap = 0.
Proof.
move=> exact_layer off_center; apply/matrixP => i o; apply/eqP.
rewrite mxE -normr_le0 -(mul0r (query_factor tap)); apply: off_center_bound => // q.
by rewrite exact_layer subrr normr0.
Qed.

End ZeroPadding.
