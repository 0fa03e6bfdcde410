(******************************************************************************)
(* What attention does not notice.                                            *)
(*                                                                            *)
(* In words. Permute the tokens together with their encodings, and a query    *)
(* gets the same output                                   attention_permuted  *)
(* So it does if the tokens alone are permuted, by an s of which the encoding *)
(* knows nothing: r_(s k) = r_k for all k                          unnoticed  *)
(* Let F be any target, a map from images X to outputs, and X s the image X   *)
(* with the tokens permuted. Then attention is wrong in channel o on X or on  *)
(* X s, by |F(X)_o - F(X s)_o| / 2 or more                   unnoticed_error  *)
(* Let F be the zero-padded convolution at the query q. Its kernel has for    *)
(* each displacement the matrix of the tap there, zero if there is no tap,    *)
(* the sum if there are several                                    kernel_at  *)
(* Write K_k for this matrix at the displacement from q to a token k. Then    *)
(*   F(X) - F(X s) = sum over k of X_(s k) (K_(s k) - K_k)                    *)
(*                                                      convolution_permuted  *)
(* So, if r_(s k) = r_k for all k, and s leaves q where it is, then attention *)
(* is wrong at q in channel o                                                 *)
(*   - by half of that or more, on X or on X s          unnoticed_convolution *)
(*   - by B / 2 times the sum of all |K_(s k) - K_k| in channel o, or more,   *)
(*     on X or on X s for some image with |X| <= B              unnoticed_box *)
(*     which is the best that such images can show              permuted_most *)
(*                                                                            *)
(* Shared encodings, as in one bucket of displacements. Let two tokens k1 and *)
(* k2, neither of them q, have the same encoding. Whatever the parameters,    *)
(* attention is wrong at q in channel o                                       *)
(*   - by |((X_k1 - X_k2) (K_k1 - K_k2))_o| / 2 or more, on X or on X with k1 *)
(*     and k2 exchanged                             shared_encoding_exchanged *)
(*   - by |K_k1 - K_k2| / 2 or more, in channels i and o, on the image that   *)
(*     is 1 in channel i at k1 and 0 elsewhere, or that with k2 for k1        *)
(*                                                      shared_encoding_error *)
(*   - by B times the sum over i of |K_k1 - K_k2| or more, on one of two      *)
(*     images with |X| <= B                               shared_encoding_box *)
(*   - and, if it is exact at q, then K_k1 = K_k2       shared_encoding_exact *)
(*                                                                            *)
(* Mirrors. Let the encoding be even: r_(- delta) = r_delta. That holds if it *)
(* knows only the distance. Let s take each token to itself or to where it    *)
(* lies mirrored about q                                              mirrors *)
(* That is not noticed at q                                  mirror_unnoticed *)
(* with the errors that follow                                     mirror_box *)
(* The tokens at q + delta and q - delta share their encoding. So, if both    *)
(* are on the canvas, the error on one pixel is half the difference of the    *)
(* kernel at delta and - delta or more                           mirror_error *)
(* and if attention is exact at q, these are equal               mirror_exact *)
(*                                                                            *)
(* Silent queries. Let the queries have no bias, u = v = 0           unbiased *)
(* and let the one at q hold zeros. Then every score is zero, and every       *)
(* probability 1 / N, whatever the encodings and the other parameters are     *)
(*                                                               silent_query *)
(* So no permutation is noticed                        silent_query_unnoticed *)
(* and two tokens other than q make the same errors as if they shared their   *)
(* encoding                        silent_query_exchanged, silent_query_error *)
(*                                     silent_query_box, silent_query_exact   *)
(******************************************************************************)

From mathcomp Require Import all_ssreflect fingroup perm all_algebra.
From Expressivity Require Import softmax canvas encoding layers.
From Expressivity Require Import zero_padding permutation.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Permuted.
Variables (R : realFieldType) (E : exponential R).
Variables (Din Dk Dp Dh Dout : nat) (H K : finType).
Variables (heads : H -> head R Din Dk Dp Dh Dout) (bias : 'rV[R]_Dout).
Implicit Types (X Y : K -> 'rV[R]_Din) (x_q : 'rV[R]_Din) (r : K -> 'rV[R]_Dp).
Implicit Types (s : {perm K}) (k : K).

Local Notation layer := (attention E heads bias).

Lemma attention_relabel X Y x_q r r' s :
  Y =1 X \o s -> r' =1 r \o s -> layer Y x_q r' = layer X x_q r.
Proof.
move=> YX r's; congr (_ + _); apply: eq_bigr => h _; congr (_ *m _).
rewrite [RHS](reindex_inj (@perm_inj _ s)); apply: eq_bigr => k _ /=.
by rewrite YX; congr (_ *: _); apply: softmax_perm => j; rewrite YX r's.
Qed.

Theorem attention_permuted X x_q r s : layer (X \o s) x_q (r \o s) = layer X x_q r.
Proof. exact: attention_relabel. Qed.

Theorem unnoticed X x_q r s :
  (forall k, r (s k) = r k) -> layer (X \o s) x_q r = layer X x_q r.
Proof. by move=> rs; apply: attention_relabel => // k; rewrite /= rs. Qed.

Theorem unnoticed_error (F : (K -> 'rV[R]_Din) -> 'rV[R]_Dout) X x_q r s o :
  (forall k, r (s k) = r k) ->
  `|F X 0 o - F (X \o s) 0 o| / 2%:R
  <= Num.max `|layer X x_q r 0 o - F X 0 o|
             `|layer (X \o s) x_q r 0 o - F (X \o s) 0 o|.
Proof. by move=> rs; rewrite unnoticed//; apply: two_errors. Qed.

(* Queries without a bias, and one that holds zeros. *)
Definition unbiased := forall h, u (heads h) = 0 /\ v (heads h) = 0.

Lemma silent_score h x_k r_k : unbiased -> score (heads h) 0 x_k r_k = 0.
Proof.
by move=> /(_ h)[u0 v0]; rewrite /score /dot u0 v0 !mul0mx !mxE !addr0.
Qed.

Theorem silent_query h X r k :
  unbiased -> probability E (heads h) X 0 r k = #|K|%:R^-1.
Proof.
move=> no_bias; rewrite /probability /softmax (eq_normalised (w' := fun=> 1)).
  by rewrite /normalised mul1r sumr_const.
by move=> j; rewrite silent_score// expo0.
Qed.

Lemma silent_relabel X Y r s : unbiased -> Y =1 X \o s -> layer Y 0 r = layer X 0 r.
Proof.
move=> no_bias YX; congr (_ + _); apply: eq_bigr => h _; congr (_ *m _).
rewrite [RHS](reindex_inj (@perm_inj _ s)); apply: eq_bigr => k _ /=.
by rewrite !silent_query// YX.
Qed.

Theorem silent_query_unnoticed X r s : unbiased -> layer (X \o s) 0 r = layer X 0 r.
Proof. by move=> no_bias; apply: silent_relabel. Qed.

End Permuted.

Section Kernel.
Variables (R : realFieldType) (d : nat) (m : 'I_d -> nat) (cin cout : nat).
Variables (T : finType) (Delta : T -> point d) (W : T -> 'M[R]_(cin, cout)).

(* The matrix of the tap at a displacement. *)
Definition kernel_at (delta : point d) : 'M[R]_(cin, cout) :=
  \sum_(tap | Delta tap == delta) W tap.

Lemma kernel_at_tap tap : injective Delta -> kernel_at (Delta tap) = W tap.
Proof.
by move=> centers; rewrite /kernel_at (big_pred1 tap)// => t; rewrite (inj_eq centers).
Qed.

Lemma kernel_at_none delta : (forall tap, Delta tap != delta) -> kernel_at delta = 0.
Proof. by move=> none; rewrite /kernel_at big_pred0// => tap; apply: negbTE. Qed.

Variables (b : 'rV[R]_cout) (q : token m).
Implicit Types (X Y : token m -> 'rV[R]_cin) (k : token m).
Implicit Types (i : 'I_cin) (o : 'I_cout).

(* The zero-padded convolution at q, and the matrix of a token k there.       *)
Local Notation padded X := (convolution Delta W b (zero_extension X) (position q)).
Local Notation K k := (kernel_at (position k - position q)).

Lemma zero_extension_sum X t : zero_extension X t = \sum_(k | t == position k) X k.
Proof.
rewrite /zero_extension; case: ifP => [inside|outside].
  rewrite (big_pred1 (nearest m t))// => k.
  rewrite -[t in LHS](position_nearest inside).
  by rewrite (inj_eq (@position_inj _ m)) eq_sym.
rewrite big_pred0// => k; apply: contraFF outside => /eqP->.
exact: on_canvas_position.
Qed.

Lemma padded_kernel X : padded X = b + \sum_k X k *m K k.
Proof.
congr (_ + _); under eq_bigr do rewrite zero_extension_sum mulmx_suml.
rewrite (exchange_big_dep xpredT)//=; apply: eq_bigr => k _.
rewrite /kernel_at mulmx_sumr; apply: eq_bigl => tap.
by rewrite eq_sym [RHS]eq_sym subr_eq addrC.
Qed.

Theorem convolution_permuted X (s : {perm token m}) :
  padded X - padded (X \o s) = \sum_k X (s k) *m (K (s k) - K k).
Proof.
rewrite !padded_kernel opprD addrACA subrr add0r.
rewrite (reindex_inj (@perm_inj _ s)) -sumrB.
by apply: eq_bigr => k _; rewrite mulmxBr.
Qed.

(* No image within the bound B shows more. *)
Theorem permuted_most X (s : {perm token m}) B o : bounded B X ->
  `|(\sum_k X (s k) *m (K (s k) - K k)) 0 o| / 2%:R
  <= B / 2%:R * (\sum_k \sum_i `|K (s k) i o - K k i o|).
Proof.
move=> inside; rewrite [leRHS]mulrAC ler_wpmul2r ?invr_ge0 ?ler0n// summxE mulr_sumr.
apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => k _.
rewrite mxE mulr_sumr; apply: le_trans (ler_norm_sum _ _ _) _; apply: ler_sum => i _.
by rewrite normrM !mxE ler_wpmul2r.
Qed.

(* A layer L whose output does not change if the tokens are permuted by s, at *)
(* least on images that hold zeros at q.                                      *)
Section Unseen.
Variables (L : (token m -> 'rV[R]_cin) -> 'rV[R]_cout) (s : {perm token m}).
Hypothesis unseen : forall X Y, X q = 0 -> Y =1 X \o s -> L Y = L X.
Hypothesis stays : s q = q.

Local Notation error X o := `|L X 0 o - padded X 0 o|.

Lemma permuted_error X Y o :
  L Y = L X -> Y =1 X \o s ->
  `|(\sum_k X (s k) *m (K (s k) - K k)) 0 o| / 2%:R <= Num.max (error X o) (error Y o).
Proof.
move=> same YX; rewrite -convolution_permuted -(eq_padded _ _ _ _ YX) mxE same.
by rewrite [X in _ + X]mxE; apply: two_errors.
Qed.

Lemma pixel_permuted i k : one_pixel R i k =1 one_pixel R i (s k) \o s.
Proof. by move=> j; rewrite /one_pixel /= (inj_eq (@perm_inj _ s)). Qed.

Lemma pixel_q i k : k != q -> one_pixel R i k q = 0.
Proof. by rewrite /one_pixel eq_sym => /negPf->. Qed.

Lemma stays_off k : k != q -> s k != q.
Proof. by rewrite -[in X in _ -> X]stays (inj_eq (@perm_inj _ s)). Qed.

Lemma pixels_error i o k (X1 := one_pixel R i (s k)) (X2 := one_pixel R i k) :
  k != q -> `|K (s k) i o - K k i o| / 2%:R <= Num.max (error X1 o) (error X2 o).
Proof.
move=> k_q.
have same : L X2 = L X1.
  by apply: unseen (pixel_q i (stays_off k_q)) (pixel_permuted i k).
apply: le_trans (permuted_error o same (pixel_permuted i k)).
rewrite (bigD1 k)//= big1 => [|j j_k].
  by rewrite addr0 /X1 /one_pixel eqxx -rowE !mxE.
by rewrite /X1 /one_pixel (inj_eq (@perm_inj _ s)) (negPf j_k) mul0mx.
Qed.

(* The worst image within the bound B has the signs of the differences.       *)
Lemma box_error B o : 0 <= B ->
  exists2 X : token m -> 'rV[R]_cin, X q = 0 /\ bounded B X
  & B / 2%:R * (\sum_k \sum_i `|K (s k) i o - K k i o|)
    <= Num.max (error X o) (error (X \o s) o).
Proof.
move=> B_ge0; pose D k := K (s k) - K k.
pose X k : 'rV[R]_cin := \row_i (B * Num.sg (D ((s^-1)%g k) i o)).
have X_q : X q = 0.
  apply/rowP => i; rewrite !mxE /D permKV -[in (s^-1)%g q]stays permK subrr.
  by rewrite sgr0 mulr0.
exists X; first split=> // k i.
  by rewrite mxE normrM ger0_norm// normr_sg ler_pimulr ?lern1 ?leq_b1.
apply: le_trans (permuted_error o (unseen X_q (frefl _)) (frefl _)).
rewrite [X in _ <= `|X| / _](_ : _ = B * (\sum_k \sum_i `|D k i o|)).
  rewrite ger0_norm ?mulr_ge0 ?sumr_ge0// => [|k _]; last by rewrite sumr_ge0.
  rewrite mulrAC ler_wpmul2r ?invr_ge0 ?ler0n// ler_wpmul2l//.
  apply: ler_sum => k _; apply: ler_sum => i _.
  by rewrite !mxE.
rewrite summxE mulr_sumr; apply: eq_bigr => k _; rewrite mxE mulr_sumr.
by apply: eq_bigr => i _; rewrite mxE permK -mulrA -normrEsg.
Qed.

Lemma exact_kernel k : (forall X, X q = 0 -> L X = padded X) -> k != q -> K (s k) = K k.
Proof.
move=> exact_layer k_q; apply/matrixP => i o; apply/eqP; rewrite -subr_eq0 -normr_le0.
have := pixels_error i o k_q.
rewrite !exact_layer ?pixel_q ?stays_off// !subrr normr0 maxxx.
by rewrite ler_pdivr_mulr ?ltr0n// mul0r.
Qed.

End Unseen.

Lemma sum_tperm (V : zmodType) (f : token m -> token m -> V) k1 k2 :
  (forall k, f k k = 0) -> \sum_k f k (tperm k1 k2 k) = f k1 k2 + f k2 k1.
Proof.
move=> f0; have [<-|k12] := eqVneq k1 k2.
  by rewrite !f0 addr0 big1// => k _; rewrite tperm1 perm1 f0.
rewrite (bigD1 k1)//= (bigD1 k2)/=; last by rewrite eq_sym.
rewrite tpermL tpermR big1 ?addr0// => k /andP[k_k1 k_k2].
by rewrite tpermD// eq_sym.
Qed.

(* The same for two tokens that change places. *)
Section Exchanged.
Variables (L : (token m -> 'rV[R]_cin) -> 'rV[R]_cout) (k1 k2 : token m).
Local Notation s := (tperm k1 k2).
Local Notation error X o := `|L X 0 o - padded X 0 o|.

Lemma exchanged_error X o (Y := X \o s) :
  L Y = L X ->
  `|((X k1 - X k2) *m (K k1 - K k2)) 0 o| / 2%:R <= Num.max (error X o) (error Y o).
Proof.
move=> same; apply: le_trans (permuted_error o same (frefl _)).
rewrite (sum_tperm (f := fun k j => X j *m (K j - K k))) => [|k].
  by rewrite -[K k2 - K k1]opprB mulmxN [- _ + _]addrC -mulmxBl.
by rewrite subrr mulmx0.
Qed.

Hypothesis unseen : forall X Y, X q = 0 -> Y =1 X \o s -> L Y = L X.
Hypotheses (k1_q : k1 != q) (k2_q : k2 != q).

Let stays : s q = q.
Proof. by rewrite tpermD. Qed.

Lemma exchanged_pixels i o (X1 := one_pixel R i k1) (X2 := one_pixel R i k2) :
  `|K k1 i o - K k2 i o| / 2%:R <= Num.max (error X1 o) (error X2 o).
Proof. by have := pixels_error unseen stays i o k2_q; rewrite tpermR. Qed.

Lemma exchanged_box B o : 0 <= B ->
  exists2 X : token m -> 'rV[R]_cin, X q = 0 /\ bounded B X
  & B * (\sum_i `|K k1 i o - K k2 i o|) <= Num.max (error X o) (error (X \o s) o).
Proof.
move=> B_ge0; have [X inside worst] := box_error unseen stays o B_ge0.
exists X => //; apply: le_trans worst.
rewrite (sum_tperm (f := fun k j => \sum_i `|K j i o - K k i o|)) => [|k].
  have -> : \sum_i `|K k2 i o - K k1 i o| = \sum_i `|K k1 i o - K k2 i o|.
    by apply: eq_bigr => i _; rewrite distrC.
  rewrite -mulr2n -[leRHS]mulrA mulrnAr -mulrnAl -[_^-1 *+ _]mulr_natr.
  by rewrite mulVf ?mul1r ?pnatr_eq0.
by apply: big1 => i _; rewrite subrr normr0.
Qed.

Lemma exchanged_exact : (forall X, X q = 0 -> L X = padded X) -> K k1 = K k2.
Proof.
move=> exact_layer.
by have := exact_kernel unseen stays exact_layer k2_q; rewrite tpermR.
Qed.

End Exchanged.
End Kernel.

Section Layer.
Variables (R : realFieldType) (E : exponential R) (d : nat) (m : 'I_d -> nat).
Variables (cin Dk Dp Dh cout : nat) (H T : finType).
Variables (heads : H -> head R cin Dk Dp Dh cout) (bias : 'rV[R]_cout).
Variables (Delta : T -> point d) (W : T -> 'M[R]_(cin, cout)) (b : 'rV[R]_cout).
Variable q : token m.
Implicit Types (X Y : token m -> 'rV[R]_cin) (k : token m) (s : {perm token m}).
Implicit Types (i : 'I_cin) (o : 'I_cout) (B : R).

Local Notation padded X := (convolution Delta W b (zero_extension X) (position q)).
Local Notation kernel_at := (kernel_at Delta W).
Local Notation K k := (kernel_at (position k - position q)).

(* Any encodings of the tokens, as the query at q sees them. In               *)
(* self-attention that of k is a function of position k - position q.         *)
Section AnyEncoding.
Variable r : token m -> 'rV[R]_Dp.
Local Notation layer X := (attention E heads bias X%function (X%function q) r).
Local Notation error X o := `|layer X 0 o - padded X 0 o|.
Let L X := layer X.

Section Permutation.
Variable s : {perm token m}.
Hypotheses (stays : s q = q) (rs : forall k, r (s k) = r k).

Lemma layer_unseen X Y : Y =1 X \o s -> layer Y = layer X.
Proof.
move=> YX; rewrite YX /= stays; apply: attention_relabel YX _ => k.
by rewrite /= rs.
Qed.

Theorem unnoticed_convolution X o (Y := X \o s) :
  `|(\sum_k X (s k) *m (K (s k) - K k)) 0 o| / 2%:R <= Num.max (error X o) (error Y o).
Proof. exact: (permuted_error _ _ _ _ (L := L) _ (layer_unseen _)). Qed.

Theorem unnoticed_box B o : 0 <= B ->
  exists2 X : token m -> 'rV[R]_cin, bounded B X
  & B / 2%:R * (\sum_k \sum_i `|K (s k) i o - K k i o|)
    <= Num.max (error X o) (error (X \o s) o).
Proof.
move=> B_ge0; have unseen X Y (_ : X q = 0) : Y =1 X \o s -> L Y = L X.
  exact: layer_unseen.
by have [X [_ inside]] := box_error Delta W b unseen stays o B_ge0; exists X.
Qed.

End Permutation.

Variables k1 k2 : token m.
Hypotheses (k1_q : k1 != q) (k2_q : k2 != q).

Section Shared.
Hypothesis shared : r k1 = r k2.

Let unseen X Y : Y =1 X \o tperm k1 k2 -> L Y = L X.
Proof. by apply: layer_unseen => [|k]; [rewrite tpermD|case: tpermP => // ->]. Qed.

Let unseen0 X Y (_ : X q = 0) := @unseen X Y.

Theorem shared_encoding_exchanged X o (Y := X \o tperm k1 k2) :
  `|((X k1 - X k2) *m (K k1 - K k2)) 0 o| / 2%:R <= Num.max (error X o) (error Y o).
Proof. by apply: (exchanged_error _ _ _ _ (L := L)); apply: unseen. Qed.

Theorem shared_encoding_error i o (X1 := one_pixel R i k1) (X2 := one_pixel R i k2) :
  `|K k1 i o - K k2 i o| / 2%:R <= Num.max (error X1 o) (error X2 o).
Proof. exact: (exchanged_pixels _ _ _ unseen0). Qed.

Theorem shared_encoding_box B o : 0 <= B ->
  exists2 X : token m -> 'rV[R]_cin, bounded B X
  & B * (\sum_i `|K k1 i o - K k2 i o|)
    <= Num.max (error X o) (error (X \o tperm k1 k2) o).
Proof.
move=> B_ge0.
by have [X [_ inside]] := exchanged_box Delta W b unseen0 k1_q k2_q o B_ge0; exists X.
Qed.

Theorem shared_encoding_exact : (forall X, layer X = padded X) -> K k1 = K k2.
Proof.
move=> exact_layer; apply: (exchanged_exact (b := b) unseen0) => // X _.
exact: exact_layer.
Qed.

End Shared.

Section Silent.
Hypothesis no_bias : unbiased heads.

Let unseen0 X Y : X q = 0 -> Y =1 X \o tperm k1 k2 -> L Y = L X.
Proof. by move=> X_q YX; rewrite /L YX /= tpermD// X_q; apply: silent_relabel YX. Qed.

Theorem silent_query_exchanged X o (Y := X \o tperm k1 k2) :
  X q = 0 ->
  `|((X k1 - X k2) *m (K k1 - K k2)) 0 o| / 2%:R <= Num.max (error X o) (error Y o).
Proof.
by move=> X_q; apply: (exchanged_error _ _ _ _ (L := L)); apply: unseen0.
Qed.

Theorem silent_query_error i o (X1 := one_pixel R i k1) (X2 := one_pixel R i k2) :
  `|K k1 i o - K k2 i o| / 2%:R <= Num.max (error X1 o) (error X2 o).
Proof. exact: (exchanged_pixels _ _ _ unseen0). Qed.

Theorem silent_query_box B o : 0 <= B ->
  exists2 X : token m -> 'rV[R]_cin, X q = 0 /\ bounded B X
  & B * (\sum_i `|K k1 i o - K k2 i o|)
    <= Num.max (error X o) (error (X \o tperm k1 k2) o).
Proof. exact: exchanged_box. Qed.

Theorem silent_query_exact :
  (forall X, X q = 0 -> layer X = padded X) -> K k1 = K k2.
Proof. exact: exchanged_exact. Qed.

End Silent.
End AnyEncoding.

(* Encodings that do not know the sign of a displacement. *)
Section Mirror.
Variable encode : point d -> 'rV[R]_Dp.
Hypothesis even : forall delta, encode (- delta) = encode delta.
Local Notation layer X := (self_attention E heads bias encode X q).
Local Notation error X o := `|layer X 0 o - padded X 0 o|.

(* Each token stays, or goes where it lies mirrored about q. *)
Definition mirrors s :=
  forall k, position (s k) - position q = position k - position q
         \/ position (s k) - position q = - (position k - position q).

Section ManyPairs.
Variable s : {perm token m}.
Hypothesis mirrored : mirrors s.

Lemma mirror_stays : s q = q.
Proof.
apply: (@position_inj _ m); apply/eqP; rewrite -subr_eq0.
by have [->|->] := mirrored q; rewrite subrr ?oppr0.
Qed.

Lemma mirror_encoding k :
  encode (position (s k) - position q) = encode (position k - position q).
Proof. by have [->|->] := mirrored k; rewrite ?even. Qed.

Theorem mirror_unnoticed X : layer (X \o s) = layer X.
Proof. exact: (layer_unseen mirror_stays mirror_encoding). Qed.

Theorem mirror_box B o : 0 <= B ->
  exists2 X : token m -> 'rV[R]_cin, bounded B X
  & B / 2%:R * (\sum_k \sum_i `|K (s k) i o - K k i o|)
    <= Num.max (error X o) (error (X \o s) o).
Proof. exact: (unnoticed_box mirror_stays mirror_encoding). Qed.

End ManyPairs.

Variables (delta : point d) (k1 k2 : token m).
Hypotheses (ahead : position k1 = position q + delta).
Hypotheses (behind : position k2 = position q - delta).

Let K1 : position k1 - position q = delta.
Proof. by rewrite ahead addrC addKr. Qed.

Let K2 : position k2 - position q = - delta.
Proof. by rewrite behind addrC addKr. Qed.

Let shared : encode (position k1 - position q) = encode (position k2 - position q).
Proof. by rewrite K1 K2 even. Qed.

Let not_q k : position k - position q != 0 -> k != q.
Proof. by apply: contraNneq => ->; rewrite subrr. Qed.

Theorem mirror_error i o (X1 := one_pixel R i k1) (X2 := one_pixel R i k2) :
  `|kernel_at delta i o - kernel_at (- delta) i o| / 2%:R
  <= Num.max (error X1 o) (error X2 o).
Proof.
have [->|moved] := eqVneq delta 0.
  by rewrite oppr0 subrr normr0 mul0r le_maxr normr_ge0.
rewrite -[in kernel_at delta]K1 -K2.
by apply: shared_encoding_error => //; apply: not_q; rewrite ?K1 ?K2 ?oppr_eq0.
Qed.

Theorem mirror_exact :
  (forall X, layer X = padded X) -> kernel_at delta = kernel_at (- delta).
Proof.
have [->|moved] := eqVneq delta 0; first by rewrite oppr0.
rewrite -[in LHS]K1 -K2.
by apply: shared_encoding_exact => //; apply: not_q; rewrite ?K1 ?K2 ?oppr_eq0.
Qed.

End Mirror.
End Layer.
