(******************************************************************************)
(* Content-only attention is blind to the order of the tokens.                *)
(*                                                                            *)
(* In words. Attention is content-only if the score of a token k at a query q *)
(* is f_h(X_q, X_k) in a head h, for any function f_h of the contents of the  *)
(* two: it does not see where the tokens are              content_attention.  *)
(* The heads of layers.v are an instance if W_pos = 0, for they do not see    *)
(* the encoding then                       content_only, content_only_heads.  *)
(* Whatever the functions f_h are:                                            *)
(*   - if the tokens of an image are permuted, the outputs of the layer are   *)
(*     permuted alike                              content_only_equivariant   *)
(*   - so the output at q does not change if two other tokens are exchanged   *)
(*                                                                     swap   *)
(* A convolution, zero-padded here, does see where a token is. Let no two of  *)
(* its taps have the same center, and let k2 be a token, not q, under no tap: *)
(*   - let k1 be the token under a tap off the center. The layer is wrong at  *)
(*     q in channel o by half of |W i o| of the tap or more, on the image     *)
(*     that is 1 in channel i at k1 and 0 elsewhere, or on that with k2 for   *)
(*     k1                                                  off_center_error   *)
(*   - so, if the layer is exact at q, all taps on the canvas but the one at  *)
(*     the center are zero                               no_off_center_head   *)
(*     as for any other map that is exact at q, and that does not change if   *)
(*     two tokens other than q are exchanged              no_off_center_tap   *)
(* The token under no tap is needed. Here is an exception without it. A box   *)
(* filter, all of whose matrices are equal, with one tap on each token from   *)
(* every query, is the sum over the image, and one head with W_pos = 0 can be *)
(* that, with the same probability 1 / N for all N tokens         box_filter. *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect perm all_algebra.
From Expressivity Require Import softmax canvas encoding layers zero_padding.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Lemma softmax_perm (R : realFieldType) (E : exponential R) (K : finType)
    (s : {perm K}) (f g : K -> R) k :
  (forall j, g j = f (s j)) -> softmax E g k = softmax E f (s k).
Proof.
move=> gf; rewrite /softmax /normalised gf; congr (_ / _).
by rewrite [RHS](reindex_inj (@perm_inj _ s)); apply: eq_bigr => j _; rewrite gf.
Qed.

Section ContentOnly.
Variables (R : realFieldType) (E : exponential R).
Variables (Din Dh Dout : nat) (H K : finType).        (* the heads; the tokens *)
Variable f : H -> 'rV[R]_Din -> 'rV[R]_Din -> R.
Variables (Wval : H -> 'M[R]_(Din, Dh)) (Wout : H -> 'M[R]_(Dh, Dout)).
Variable bias : 'rV[R]_Dout.
Implicit Types (X Y : K -> 'rV[R]_Din) (q k : K) (s : {perm K}).

Definition content_attention : (K -> 'rV[R]_Din) -> K -> 'rV[R]_Dout :=
  scored_attention E (fun h X q k => f h (X q) (X k)) Wval Wout bias.

Local Notation layer := content_attention.

Lemma relabel X Y s q : (forall k, Y k = X (s k)) -> layer Y q = layer X (s q).
Proof.
move=> YX; congr (_ + _); apply: eq_bigr => h _; congr (_ *m _).
rewrite [RHS](reindex_inj (@perm_inj _ s)); apply: eq_bigr => k _ /=.
by rewrite !YX; congr (_ *: _); apply: softmax_perm => j; rewrite YX.
Qed.

Theorem content_only_equivariant X s q : layer (X \o s) q = layer X (s q).
Proof. exact: relabel. Qed.

Theorem swap X q k1 k2 :
  k1 != q -> k2 != q -> layer (X \o tperm k1 k2) q = layer X q.
Proof. by move=> k1_q k2_q; rewrite content_only_equivariant tpermD. Qed.

End ContentOnly.

(* The heads of layers.v without W_pos.                                       *)
Section ContentOnlyHeads.
Variables (R : realFieldType) (E : exponential R) (d : nat) (m : 'I_d -> nat).
Variables (Din Dk Dp Dh Dout : nat) (H : finType).
Variables (heads : H -> head R Din Dk Dp Dh Dout) (bias : 'rV[R]_Dout).
Variable encode : point d -> 'rV[R]_Dp.

Definition content_only := forall h, W_pos (heads h) = 0.

Lemma content_only_heads (X : token m -> 'rV[R]_Din) q :
  content_only ->
  self_attention E heads bias encode X q
  = content_attention E (fun h x_q x_k => score (heads h) x_q x_k 0)
      (fun h => W_val (heads h)) (fun h => W_out (heads h)) bias X q.
Proof.
move=> content; congr (_ + _); apply: eq_bigr => h _; congr (_ *m _).
apply: eq_bigr => k _; congr (_ *: _); apply: eq_softmax => j.
by rewrite /score content !mulmx0.
Qed.

End ContentOnlyHeads.

Section OffCenter.
Variables (R : realFieldType) (d : nat) (m : 'I_d -> nat) (cin cout : nat).
Variables (T : finType) (Delta : T -> point d).
Variables (W : T -> 'M[R]_(cin, cout)) (b : 'rV[R]_cout).
Implicit Types (X : token m -> 'rV[R]_cin) (q k : token m) (tap : T).

(* The image that is 1 in channel i at one token, and 0 elsewhere.            *)
Definition one_pixel (i : 'I_cin) k : token m -> 'rV[R]_cin :=
  fun j => if j == k then delta_mx 0 i else 0.

Local Notation padded X q := (convolution Delta W b (zero_extension X) (position q)).

Lemma eq_padded X Y q : X =1 Y -> padded X q = padded Y q.
Proof.
move=> XY; congr (_ + _); apply: eq_bigr => tap _.
by rewrite /zero_extension XY.
Qed.

(* The token under a tap. *)
Lemma under_tap q k tap :
  on_canvas m (position q + Delta tap) ->
  (nearest m (position q + Delta tap) == k) = (position q + Delta tap == position k).
Proof.
by move=> inside; rewrite -(inj_eq (@position_inj _ m)) position_nearest.
Qed.

(* A convolution of one pixel adds up the taps over it. *)
Lemma padded_pixel i k q :
  padded (one_pixel i k) q
  = b + \sum_(tap | position q + Delta tap == position k) row i (W tap).
Proof.
congr (_ + _); rewrite [RHS]big_mkcond; apply: eq_bigr => tap _.
rewrite /zero_extension /one_pixel; case: ifP => [inside|outside].
  by rewrite under_tap//; case: ifP => _; rewrite ?mul0mx// rowE.
case: eqP => [at_k|_]; last by rewrite mul0mx.
by rewrite at_k on_canvas_position in outside.
Qed.

(* No two taps have the same center; k2 is a token other than q under no tap. *)
Hypothesis centers : injective Delta.
Variables (q k2 : token m).
Hypothesis k2_q : k2 != q.
Hypothesis unreached : forall tap, position q + Delta tap != position k2.

Lemma padded_unreached i : padded (one_pixel i k2) q = b.
Proof. by rewrite padded_pixel big_pred0 ?addr0// => tap; apply: negbTE. Qed.

Section OneTap.
Variable tap : T.
Hypothesis off_center : Delta tap != 0.
Hypothesis reached : on_canvas m (position q + Delta tap).

(* The token under the tap. *)
Local Notation k1 := (nearest m (position q + Delta tap)).

Lemma k1_q : k1 != q.
Proof.
by rewrite under_tap// -subr_eq0 addrC addKr.
Qed.

Lemma padded_reached i : padded (one_pixel i k1) q = b + row i (W tap).
Proof.
rewrite padded_pixel position_nearest// (big_pred1 tap)// => t.
by rewrite (inj_eq (addrI _)) (inj_eq centers).
Qed.

Lemma pixel_swap i : one_pixel i k1 \o tperm k1 k2 =1 one_pixel i k2.
Proof.
by move=> k; rewrite /one_pixel /= (canF_eq (@tpermK _ k1 k2)) tpermL.
Qed.

Theorem no_off_center_tap (L : (token m -> 'rV[R]_cin) -> 'rV[R]_cout) :
  (forall X k k', k != q -> k' != q -> L (X \o tperm k k') = L X) ->
  (forall X, L X = padded X q) -> W tap = 0.
Proof.
move=> blind is_padded; apply/row_matrixP => i; rewrite row0.
have := blind (one_pixel i k1) _ _ k1_q k2_q.
rewrite !is_padded (eq_padded _ (pixel_swap i)) padded_unreached padded_reached.
by move/eqP; rewrite addrC -subr_eq subrr eq_sym => /eqP.
Qed.

Variables (E : exponential R) (Dh : nat) (H : finType).
Variable f : H -> 'rV[R]_cin -> 'rV[R]_cin -> R.
Variables (Wval : H -> 'M[R]_(cin, Dh)) (Wout : H -> 'M[R]_(Dh, cout)).
Variable bias : 'rV[R]_cout.
Local Notation layer X := (content_attention E f Wval Wout bias X q).

Theorem off_center_error i o (X1 := one_pixel i k1) (X2 := one_pixel i k2) :
  `|W tap i o| / 2%:R
  <= Num.max `|layer X1 0 o - padded X1 q 0 o| `|layer X2 0 o - padded X2 q 0 o|.
Proof.
have -> : W tap i o = padded X1 q 0 o - padded X2 q 0 o.
  by rewrite padded_unreached padded_reached !mxE addrC addKr.
have -> : layer X2 = layer X1; last exact: two_errors.
rewrite (relabel E f Wval Wout bias (X := X1) (s := tperm k1 k2)).
  by rewrite tpermD ?k1_q.
by move=> k; rewrite /X2 -pixel_swap.
Qed.

Theorem no_off_center_head : (forall X, layer X = padded X q) -> W tap = 0.
Proof. by apply: no_off_center_tap => X k k' k_q k'_q; apply: swap. Qed.

End OneTap.
End OffCenter.

Section BoxFilter.
Variables (R : realFieldType) (E : exponential R) (d : nat) (m : 'I_d -> nat).
Variables (cin Dk Dp cout : nat) (T : finType) (Delta : T -> point d).
Variables (W0 : 'M[R]_(cin, cout)) (b : 'rV[R]_cout) (encode : point d -> 'rV[R]_Dp).
Implicit Types (X : token m -> 'rV[R]_cin) (q k : token m).

(* A content-only head: all scores are 0.                                     *)
Definition uniform_head : head R cin Dk Dp cin cout :=
  Head 0 0 0 0 0 1%:M ((tokens m)%:R *: W0).

Lemma uniform_probability X x_q r k :
  probability E uniform_head X x_q r k = (tokens m)%:R^-1.
Proof.
rewrite /probability /softmax (eq_normalised (w' := fun=> 1)) => [|j].
  by rewrite /normalised mul1r sumr_const.
by rewrite /score /dot !mulmx0 trmx0 !mulmx0 mxE !addr0 expo0.
Qed.

(* A tap on every token, from every query.                                    *)
Hypothesis centers : injective Delta.
Hypothesis reaches_all : forall q k, exists tap, Delta tap = position k - position q.

Theorem box_filter X q :
  self_attention E (fun _ : 'I_1 => uniform_head) b encode X q
  = convolution Delta (fun _ => W0) b (zero_extension X) (position q).
Proof.
rewrite /convolution -mulmx_suml; congr (_ + _).
have [tap_to tap_toE] := fin_all_exists (reaches_all q).
have to k : position q + Delta (tap_to k) = position k by rewrite tap_toE addrC subrK.
pose under tap := nearest m (position q + Delta tap).
have toK k : under (tap_to k) = k by rewrite /under to nearest_position.
have -> : \sum_tap zero_extension X (position q + Delta tap) = \sum_k X k.
  rewrite /zero_extension -big_mkcond (reindex_onto tap_to under) => [|tap inside].
    by apply: eq_big => k; rewrite -/(under _) ?to toK// on_canvas_position eqxx.
  apply: centers; apply: (@addrI _ (position q)).
  by rewrite to position_nearest.
have N_neq0 : (tokens m)%:R != 0 :> R by rewrite pnatr_eq0 -lt0n tokens_gt0.
rewrite big_ord1 -scalemxAr scalemxAl scaler_sumr; congr (_ *m _).
apply: eq_bigr => k _.
by rewrite uniform_probability scalerA divff// scale1r mulmx1.
Qed.

End BoxFilter.

(* There are such windows, for every canvas: the displacements by at most m_a *)
(* along each axis a, in both directions.                                     *)
Section BoxWindow.
Variables (d : nat) (m : 'I_d -> nat).

Definition box_center (tap : token (fun a => (m a).*2)) : point d :=
  position tap - \row_a (m a)%:Z.

Lemma box_center_inj : injective box_center.
Proof. by move=> tap t /addIr /position_inj. Qed.

Lemma box_reaches_all (q k : token m) :
  exists tap, box_center tap = position k - position q.
Proof.
exists (nearest _ (position k - position q + \row_a (m a)%:Z)).
rewrite /box_center position_nearest ?addrK//; apply/forallP => a.
have le_m (t : token m) : (t a <= m a)%N by rewrite -ltnS.
by rewrite !mxE addrAC -addrA subzn// -PoszD !lez_nat -addnn leq_add ?leq_subr.
Qed.

End BoxWindow.
